"""``versions``, ``keep``, ``gc`` and their kin: declared here; what they do stands in the modules that are named."""

from typing import Any

import click

from qdrant_rollouts.interfaces.cli.calling import DEFAULTS, as_json, reason, verb


@click.command()
@click.argument("alias")
@as_json
def versions(**given: Any) -> None:
    """The versions of the index ALIAS, the live one marked."""
    verb("lists.versions.show_versions", **given)


@click.command()
@click.argument("collection")
@reason
@as_json
def keep(**given: Any) -> None:
    """Cancels the deletion of COLLECTION for good."""
    verb("versioning.keep_collection", **given)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--orphans",
    is_flag=True,
    help=f"Delete orphans too, {DEFAULTS['ORPHANS_MINUTES']:g} minutes from now; look at --dry-run first.",
)
@reason
@as_json
def gc(**given: Any) -> None:
    """Deletes what is due and writes down what is kept no longer.

    What a verification has left over goes too.

    Orphans, collections named as ours that no row here knows, are listed. They may belong to another installation on
    the same server, so only --orphans has them deleted, and `rollouts keep` takes that back until then.
    """
    verb("collecting.collect_garbage", **given)


@click.command()
@click.argument("alias")
@click.argument("v1")
@click.argument("v2")
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    default=DEFAULTS["COMPARED"],
    show_default=True,
    help="Records to compare.",
)
@as_json
def diff(**given: Any) -> None:
    """What is different in version V2 of ALIAS, seen from V1.

    V1 and V2 are numbers or collections. Settings, model and counts are compared, and a sample of the records, the
    same one each time.
    """
    verb("versioning.show_differences", **given)


@click.command()
@click.argument("alias")
@click.option("--collection", metavar="NAME", help="Another than the one the alias points to.")
@click.option("--trust", is_flag=True, help="Take the declared model though it makes other vectors than are stored.")
@reason
@as_json
def adopt(**given: Any) -> None:
    """Takes what ALIAS points to under management.

    Writes down a version and which model made it; no point is touched. The model is the index file's; it is compared
    with what the collection has stored.
    """
    verb("versioning.adopt_alias", **given)


VERBS = (versions, diff, adopt, keep, gc)

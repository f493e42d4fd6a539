"""``versions``, ``keep``, ``gc`` and their kin: declared here; what they do stands in ``versioning``."""

from typing import Any

import click

from interfaces.cli.calling import as_json, verb


@click.command()
@click.argument("alias")
@as_json
def versions(**given: Any) -> None:
    """The versions of the index ALIAS, the live one marked."""
    verb("versioning.versions", **given)


VERBS = (versions,)

"""Which two versions of an index are asked.

Rule: only versions of the index can be asked, and the collection that serves it. Left is what
serves; right is what a running deployment has built, else the version before.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from qdrant_rollouts.core.answers.indexes import Version
from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.version_names import find_collection
from qdrant_rollouts.core.database.models import AliasState
from qdrant_rollouts.core.database.models import Version as VersionRow
from qdrant_rollouts.core.errors import AppError, Malformed, Refused, Unavailable
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.sanitize.quoting import quote_value, shorten_text
from qdrant_rollouts.core.services import Services

_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class AskedVersion:
    """``state`` as in the list of versions. ``there`` is false if the collection is known to be
    gone."""

    collection: str
    number: int | None
    live: bool
    state: str
    there: bool = True

    @property
    def name(self) -> str:
        if self.live:
            return "live"
        if self.number is None:
            return shorten_text(self.collection, _LONGEST_NAME)
        return f"v{self.number}"

    @property
    def value(self) -> str:
        """Returns what names it in an address."""
        return self.collection if self.number is None else str(self.number)


def read_versions(services: Services, alias: str) -> list[AskedVersion]:
    """Returns the versions of the index, newest first. If Qdrant does not answer, it returns what
    the database knows. Raises Unknown for an unknown alias."""
    aliases = there = None
    try:
        aliases = services.store.aliases()
        there = services.store.collections()
    except Unavailable:
        aliases = None
    return list_versions(services, alias, aliases, there)


def check_alias(services: Services, alias: str) -> None:
    """Raises Unknown for an unknown alias. Qdrant is asked only about one that has no version."""
    check_found_name("alias", alias)
    with services.sessions() as session:
        known = session.scalar(select(VersionRow.number).where(VersionRow.alias == alias).limit(1))
    if known is None:
        read_versions(services, alias)


def list_versions(
    services: Services,
    alias: str,
    aliases: Mapping[str, str] | None,
    there: Container[str] | None,
) -> list[AskedVersion]:
    """The same as ``read_versions``, for aliases and collections that were read before; None if
    they are not known."""
    check_found_name("alias", alias)
    if aliases is None:
        aliases = _read_wanted_alias(services, alias)
    listed = lineage.describe_versions(services, alias, aliases, there)["versions"]
    return build_versions(listed, there)


def build_versions(listed: Sequence[Version], there: Container[str] | None) -> list[AskedVersion]:
    """``there`` are the existing collections; None if they are not known."""
    return [
        AskedVersion(
            row["collection"],
            row["number"],
            row["live"],
            row["state"],
            there is None or row["collection"] in there,
        )
        for row in listed
    ]


def choose_sides(
    services: Services, alias: str, left: str, right: str
) -> tuple[AskedVersion, AskedVersion | None]:
    """Returns the named versions; an empty name means the default. The right one is None if there
    is no other version. Raises Unknown for a name that is no version of ``alias``."""
    versions = read_versions(services, alias)
    named = {name: _find_named(services, alias, versions, name) for name in (left, right) if name}
    one = named.get(left)
    other = named.get(right)
    if one is not None and one == other:
        raise Malformed(
            f"{quote_value(left)} and {quote_value(right)} are the same version of {alias}; name "
            "two"
        )
    order = _order_defaults(services, versions)
    one = one or next((each for each in order if each != other), None)
    if one is None:
        raise Refused(f"{alias} has no version that can be asked: deploy it first")
    other = other or next((each for each in order if each != one), None)
    return one, other


def _order_defaults(services: Services, versions: Sequence[AskedVersion]) -> list[AskedVersion]:
    """Returns the versions that can be asked: what serves, what is being built, the versions before
    the live one, and the rest."""
    there = [each for each in versions if each.there]
    live = [each for each in there if each.live]
    built = [each for each in there if each.state == "building" and _has_points(services, each)]
    since = there.index(live[0]) if live else len(there)
    older = [each for each in there[since:] if each.state != "failed"]
    rest = [each for each in there if each.state != "building"]
    return list(dict.fromkeys([*live, *built, *older, *rest]))


def _find_named(
    services: Services, alias: str, versions: Sequence[AskedVersion], named: str
) -> AskedVersion:
    live = next((version.collection for version in versions if version.live), None)
    collection = find_collection(services, alias, named, live)
    for version in versions:
        if version.collection == collection:
            return version
    # It was made after the versions were read.
    number = lineage.find_number(services, collection)
    return AskedVersion(collection, number, live=False, state="unknown")


def _has_points(services: Services, version: AskedVersion) -> bool:
    try:
        return estimate_points(services.store, version.collection) > 0
    except AppError:
        return False


def _read_wanted_alias(services: Services, alias: str) -> dict[str, str]:
    with services.sessions() as session:
        found = session.scalars(select(AliasState.desired).where(AliasState.alias == alias)).first()
    return {alias: found} if found else {}

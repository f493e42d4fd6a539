"""Decides, before anything is built, how a deployment follows the writes that arrive meanwhile."""

from qdrant_rollouts.core.collections.alike import why_not_alike
from qdrant_rollouts.core.collections.live_source import LIVE
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.config.index_file.writes import WritesWay
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.errors import Busy, Refused
from qdrant_rollouts.core.services import Services

_SITE = "sitemap:"
#: The ways in which the live collection itself is the truth.
_LIVE_WAYS = ("compare", "journal")


def settle_writes(services: Services, spec: IndexSpec, alias: str, blue: str | None) -> IndexSpec:
    """Returns ``spec`` with the way that a deployment takes that builds a collection. Raises
    Refused for a way that is not possible here."""
    way = _find_way(spec, blue)
    if way == "journal" and blue is None:  # nobody can have written to it yet
        return _with_way(spec, "none")
    settled = _with_way(spec, way)
    _check_if_longer(settled, alias)
    if settled.writes.leads_live:
        _check_leader(services, settled, alias, blue)
    return settled


def settle_existing(
    services: Services, spec: IndexSpec, alias: str, blue: str | None, collection: str
) -> tuple[IndexSpec, str]:
    """Returns ``spec`` with the way in which an existing collection gets what is written to the
    live one meanwhile. If the live one is the truth and the collection gets nothing all the same,
    returns also why."""
    way = _find_way(spec, blue)
    if blue is None or collection == blue or way not in _LIVE_WAYS:
        return _with_way(spec, "none"), ""
    why = why_compared_as_is(services, spec, alias, blue, collection)
    if why:
        told = f"{collection} does not get what is written to {blue} meanwhile: {why}"
        return _with_way(spec, "none"), told
    settled = _with_way(spec, way)
    _check_if_longer(settled, alias)
    return settle_way_back(services, settled, alias, blue, collection), ""


def why_compared_as_is(
    services: Services, spec: IndexSpec, alias: str, live: str, collection: str
) -> str:
    """Returns why ``collection`` is not kept like the live one of ``alias``; empty if it is.
    ``spec`` is what the index declares."""
    way = _find_way(spec, live)
    if way == "none":
        return "the index says `writes: none`"
    if way not in _LIVE_WAYS or not _reads_live(spec, live):
        return f"the live collection is not the truth of {alias} (`source: {LIVE}`)"
    return why_not_alike(services, alias, live, collection)


def settle_rollback(
    services: Services, spec: IndexSpec, alias: str, live: str, older: str
) -> IndexSpec:
    """The same as ``settle_way_back``, also for a ``spec`` that no deployment has settled, because
    the alias was moved by hand."""
    return settle_way_back(services, _with_way(spec, _find_way(spec, live)), alias, live, older)


def settle_way_back(
    services: Services, spec: IndexSpec, alias: str, leader: str, older: str
) -> IndexSpec:
    """Returns ``spec`` with the way that a rollback to ``older`` takes. If the journal has not
    followed since the switch, both collections are compared."""
    if spec.writes.way != "journal":
        return spec
    with services.sessions() as session:
        followed = way_back.is_followed(session, alias, leader, older)
    return _with_way(spec, "journal" if followed else "compare")


def _find_way(spec: IndexSpec, blue: str | None) -> WritesWay:
    return spec.writes.way or _default_way(spec, reads_live=_reads_live(spec, blue))


def _check_if_longer(spec: IndexSpec, alias: str) -> None:
    if spec.writes.way == "journal" and spec.writes.if_longer == "heal":
        raise Refused(
            f"writes.if_longer: heal of {alias} compares both collections after the switch, which "
            "`writes: journal` does not need: say `wait` or `pause`"
        )


def _default_way(spec: IndexSpec, *, reads_live: bool) -> WritesWay:
    """A backup does not change. A site is not read a second time unless its owner wants it: each
    page is a request, and there is a pause between two of them."""
    source = (spec.source or "").strip()
    if backup_of(source) is not None or source.startswith(_SITE):
        return "none"
    return "compare" if reads_live else "source"


def _with_way(spec: IndexSpec, way: WritesWay) -> IndexSpec:
    writes = spec.writes.model_copy(update={"way": way})
    return spec.model_copy(update={"writes": writes})


def _reads_live(spec: IndexSpec, blue: str | None) -> bool:
    """Returns whether the records come from the collection that serves."""
    if spec.source is None or blue is None:
        return False
    kind, _, name = spec.source.strip().partition(":")
    return spec.source.strip() == LIVE or (kind == "collection" and name.strip() == blue)


def _check_leader(services: Services, spec: IndexSpec, alias: str, blue: str | None) -> None:
    """Raises Refused unless the live collection can be followed."""
    if blue is None or not _reads_live(spec, blue):
        raise Refused(
            f"writes: {spec.writes.way} brings what is written to the live collection of {alias} "
            f"to the new one, so the records must come from it: say `source: {LIVE}`, or "
            "`writes: source` for what is written to the source"
        )
    try:
        params = services.store.schema(blue)["params"]
    except Busy:  # another process has the embedded store open; the steps see it
        return
    if params.get("sharding_method") == "custom":
        raise Refused(
            f"{blue} has custom sharding, where equal ids under different keys cannot be told "
            "apart: say `writes: source` or `writes: none`, and bring the records from their source"
        )

"""Decides, before anything is built, how a deployment follows the writes that arrive meanwhile."""

from qdrant_rollouts.core.collections.live_source import LIVE
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.config.index_file.writes import WritesWay
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.errors import Busy, Refused
from qdrant_rollouts.core.services import Services

_SITE = "sitemap:"


def settle_writes(
    services: Services, spec: IndexSpec, alias: str, blue: str | None, *, existing: bool
) -> IndexSpec:
    """Returns ``spec`` with the way that this deployment takes. ``existing``: nothing is built.
    Raises Refused for a way that is not possible here."""
    if existing:
        return _with_way(spec, "none")
    reads_live = _reads_live(spec, blue)
    way = spec.writes.way or _default_way(spec, reads_live=reads_live)
    if way == "journal" and blue is None:  # nobody can have written to it yet
        return _with_way(spec, "none")
    if way == "journal" and spec.writes.if_longer == "heal":
        raise Refused(
            f"writes.if_longer: heal of {alias} compares both collections after the switch, which "
            "`writes: journal` does not need: say `wait` or `pause`"
        )
    settled = _with_way(spec, way)
    if settled.writes.leads_live:
        _check_leader(services, settled, alias, blue, reads_live=reads_live)
    return settled


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


def _check_leader(
    services: Services, spec: IndexSpec, alias: str, blue: str | None, *, reads_live: bool
) -> None:
    """Raises Refused unless the live collection can be followed."""
    if not reads_live or blue is None:
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

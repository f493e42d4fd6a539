"""The indexes there are: what the index file declares, and every other alias."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from core.index_file import IndexSpec
from core.lifecycle import FINAL
from core.models import Deployment, Version
from core.services import Services
from core.versions import without_credentials


def indexes(services: Services) -> list[dict[str, Any]]:
    """By name, each with the collection that serves and its version, and the deployment under way. ``collection`` is
    None where nothing was deployed yet, ``version`` where somebody else made the collection. Raises Unavailable when
    Qdrant cannot be asked."""
    declared, live = services.indexes(), services.store.aliases()
    with services.sessions() as session:
        known = {
            row.collection: row for row in session.scalars(select(Version).where(Version.collection.in_(live.values())))
        }
        open_ = select(Deployment.alias, Deployment.id).where(
            Deployment.kind == "rollout", Deployment.status.not_in(FINAL)
        )
        under_way = dict(session.execute(open_).all())
    return [
        {
            "alias": alias,
            **_serving(live.get(alias), known),
            **_declared(declared.get(alias)),
            "deployment": under_way.get(alias),
        }
        for alias in sorted({*declared, *live})
    ]


def number_of(services: Services, collection: str) -> int | None:
    """The version that a collection is; None if somebody else made it."""
    with services.sessions() as session:
        return session.scalar(select(Version.number).where(Version.collection == collection))


def _serving(collection: str | None, known: Mapping[str, Version]) -> dict[str, Any]:
    row = known.get(collection or "")
    facts = row.facts if row else {}
    return {
        "collection": collection,
        "version": row.number if row else None,
        "model": facts.get("model"),
        "points": facts.get("points"),
    }


def _declared(spec: IndexSpec | None) -> dict[str, Any]:
    source = spec.source if spec else None
    return {
        "declared": spec is not None,
        "source": without_credentials(source) if source else None,
        "strategy": spec.strategy if spec else None,
    }

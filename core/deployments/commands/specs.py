"""The settings of a new deployment: the index file, the live collection and the request
combined."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from qdrant_rollouts.core.collections.stamps import STAMPS_SINCE, Stamp, read_stamp
from qdrant_rollouts.core.config.index_file import IndexSpec, ServerVectorSpec
from qdrant_rollouts.core.database.models import AliasState
from qdrant_rollouts.core.errors import Busy, Refused, Unknown
from qdrant_rollouts.core.gate.checks import asked
from qdrant_rollouts.core.ports.naming import check_found_name, check_name
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services

#: Kinds of source that no request may name, neither for records nor for judged queries.
_DECLARED_ONLY = ("python:", "sql:")


def resolve_spec(
    services: Services,
    alias: str,
    live: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
) -> IndexSpec:
    """Returns the settings of a deployment of ``alias``. Raises Refused for invalid checks or
    queries."""
    declared = declared_spec(services, alias, live)
    spec = inherit_model(services, declared.with_options(options or {}), live.get(alias))
    check_declared_sources(spec, declared)
    check_validation(services, spec, live.get(alias))
    return spec


def live_aliases(services: Services) -> dict[str, str]:
    """Returns the current aliases; while another process has the embedded store open, the aliases
    as last set."""
    try:
        return services.store.aliases()
    except Busy:
        with services.sessions() as session:
            rows = session.execute(
                select(AliasState.alias, AliasState.desired).where(AliasState.settled)
            )
            return {alias: desired for alias, desired in rows if desired}


def check_alias_name(services: Services, alias: str, live: Mapping[str, str]) -> None:
    """Raises Malformed for a name that no alias can have. An alias that exists, or existed, keeps
    the name that others gave it; the name of a new one must follow our strict rule."""
    check_found_name("alias", alias)
    if alias in live:
        return
    with services.sessions() as session:
        known = session.get(AliasState, alias)
    if known is None:
        check_name("alias", alias)


def check_server_version(services: Services) -> None:
    """Refuses a server that ignores the stamp by which a deployment recognises its own collection
    (qdrant-facts 1)."""
    try:
        server = services.store.server()
    except Busy:
        return
    if server.version < STAMPS_SINCE:
        wanted, found = (".".join(map(str, version)) for version in (STAMPS_SINCE, server.version))
        raise Refused(
            f"Qdrant at {server.address} is {found}; deployments need {wanted} or newer: upgrade "
            "the server"
        )


def declared_spec(services: Services, alias: str, live: Mapping[str, str]) -> IndexSpec:
    declared = services.indexes()
    if alias in declared:
        return declared[alias]
    if alias in live:
        return IndexSpec()
    known = join_names({*declared, *live})
    raise Unknown(
        f"alias {shorten_text(alias)} neither exists nor is declared in the index file; known: "
        f"{known}"
    )


def check_declared_sources(spec: IndexSpec, declared: IndexSpec) -> None:
    """Refuses code and queries that are not in the index file. They run with a worker's rights, so
    only its author may name them."""
    said = {declared.source, declared.validation.judged}
    for text in (spec.source, spec.validation.judged):
        if text is not None and text not in said and text.strip().startswith(_DECLARED_ONLY):
            kind = text.strip().partition(":")[0]  # the rest may contain a secret by mistake
            raise Refused(
                f"this {kind}: source is not in the index file; python: and sql: are accepted "
                "only from there"
            )
    if spec.changed is not None and spec.changed != declared.changed:
        raise Refused(
            "this condition `changed` is not in the index file; it is a part of a query, and "
            "queries are accepted only from there"
        )


def check_models(services: Services, spec: IndexSpec) -> None:
    """Raises Refused if this process cannot open a model of the index. Loads none."""
    for model in spec.models:
        services.embedder(model)


def inherit_model(services: Services, spec: IndexSpec, blue: str | None) -> IndexSpec:
    """Returns ``spec`` with the model in the live collection's stamp, if the index declares no
    model."""
    if spec.embedding is not None or spec.vectors or blue is None:
        return spec
    try:
        stamp = read_stamp(services.store, blue)
    except Busy:
        return spec
    if stamp is None:
        return spec
    if len(stamp.made) < 2:
        return spec.model_copy(update={"embedding": stamp.spec})
    dumped = spec.model_dump(mode="json")
    return IndexSpec.model_validate({**dumped, "vectors": _declared_vectors(stamp)})


def _declared_vectors(stamp: Stamp) -> dict[str, Any]:
    """Returns what the stamp says about each made vector, in the form of the index file."""
    specs = {name: by.embedding or by.server for name, by in stamp.made.items()}
    return {
        name: spec.model_dump(mode="json", exclude={"vector", "chunk"})
        for name, spec in specs.items()
        if spec is not None
    }


def _is_asked_by_text(spec: IndexSpec) -> bool:
    return bool(spec.models) or any(
        isinstance(said, ServerVectorSpec) for said in spec.vectors.values()
    )


def check_validation(services: Services, spec: IndexSpec, blue: str | None) -> None:
    """Raises Refused for validation queries without a model, because a query is a text."""
    if not _is_asked_by_text(spec) and (spec.validation.queries or spec.validation.judged):
        raise Refused(
            "validation queries need embedding.model to be embedded with; declare it in the index "
            "file"
        )
    asked.check_validation(
        spec, services.store.schema(blue) if blue and spec.validation.slices else None
    )


def get_serving_collection(live: Mapping[str, str], alias: str) -> str:
    if alias not in live:
        raise Unknown(f"alias {shorten_text(alias)} does not exist; known: {join_names(live)}")
    return live[alias]


def join_names(names: Mapping[str, Any] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"

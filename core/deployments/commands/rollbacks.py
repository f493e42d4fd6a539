"""The command that goes back to an older version.

Rule: nothing is built or judged on the way back. So it leads only to a version that has served the
alias before, or that a person has adopted; any other goes through the gate, by a deployment.
"""

from qdrant_rollouts.core.collections import aliases
from qdrant_rollouts.core.collections.serving_history import ROLLBACK, ServingHistory, read_history
from qdrant_rollouts.core.collections.version_facts import describe_mark, say_mark
from qdrant_rollouts.core.collections.version_names import find_version
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments import alias_lock, way_back
from qdrant_rollouts.core.deployments.commands.beginning import (
    InTransaction,
    begin_deployment,
    do_nothing,
    warn_along,
)
from qdrant_rollouts.core.deployments.commands.gone_collections import describe_gone, is_gone
from qdrant_rollouts.core.deployments.commands.rollback_writes import (
    find_way,
    foresee_settled_writes,
    foresee_writes,
)
from qdrant_rollouts.core.deployments.commands.specs import get_serving_collection, live_aliases
from qdrant_rollouts.core.deployments.commands.vector_declarations import check_search
from qdrant_rollouts.core.deployments.commands.writes import settle_rollback
from qdrant_rollouts.core.deployments.strategies import rollback as rollback_strategy
from qdrant_rollouts.core.errors import Busy, Refused
from qdrant_rollouts.core.ports.naming import check_found_name, shell_word
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services


def start_rollback(
    services: Services,
    alias: str,
    *,
    actor: str,
    to: str | None = None,
    force: bool = False,
    reason: str = "",
    now: bool = False,
    expected: str | None = None,
    along: InTransaction = do_nothing,
) -> str:
    """Starts a rollback and returns the deployment's id. It leads to ``to``, a version by its
    number or collection, or else to the last version that served and that no rollback has left and
    nobody has marked bad. ``force`` confirms that ``to`` may be marked bad. ``now``: waits for
    nothing, and lists what was written since and stays behind. ``expected``: the collection that
    the person was told of; a rollback that would lead elsewhere is refused."""
    check_found_name("alias", alias)
    current = get_serving_collection(live_aliases(services), alias)
    with services.sessions() as session:
        alias_lock.check_alias_idle(session, alias)
        history = read_history(session, alias)
    if to is None:
        if force:
            raise Refused("force confirms a version that is marked bad: name it with --to")
        older = _choose_default(services, alias, current, history)
        if expected is not None and older != expected:
            raise Refused(
                f"{alias} has moved since you looked: {current} serves it now, and a rollback "
                f"leads to {older}, not to {quote_value(expected)}; look again, then decide"
            )
    else:
        older = _find_named(services, alias, current, to, history)
        _check_mark(services, alias, older, to, force=force)
        _check_serves(services, alias, older)
    way = find_way(services, alias, current, older, to or "")
    spec = settle_rollback(services, way.spec, alias, current, older)
    if now and spec.writes.leads_live:
        said = f"what was written to {current} since stays there, and is listed"
    else:
        writes = foresee_settled_writes(services, way, spec)
        if writes.refusal:
            raise Refused(writes.refusal)
        said = writes.said
    if to is not None:
        along = warn_along(services, alias, said, along)
    return begin_deployment(
        services,
        alias,
        spec.model_copy(update={"strategy": ROLLBACK}),
        rollback_strategy.plan_rollback(spec, now=now),
        blue=current,
        actor=actor,
        existing=older,
        reason=reason,
        along=along,
        told_as="rollback_by_hand",
    )


def describe_rollback(services: Services, alias: str, to: str | None = None) -> str:
    """Returns what a rollback of ``alias`` does with what was written since the older version was
    replaced, in words; empty if there is nothing to go back to."""
    live = services.store.aliases().get(alias)
    if live is None:
        return ""
    with services.sessions() as session:
        history = read_history(session, alias)
    try:
        if to is None:
            older = _choose_default(services, alias, live, history)
        else:
            older = _find_named(services, alias, live, to, history)
    except Refused:
        return ""
    return foresee_writes(services, alias, live, older, to or "").said


def _choose_default(services: Services, alias: str, live: str, history: ServingHistory) -> str:
    older = history.find_default(live)
    if older is None:
        others = history.served - {live}
        raise Refused(
            f"{alias} has no version before {live} to go back to"
            + (f"; {_name_others(alias)}" if others else "")
        )
    if is_gone(services, older):
        there = (one for one in history.served - {live, older} if not is_gone(services, one))
        raise Refused(
            f"{older}, the version before {live}, is no longer retained: "
            f"{describe_gone(services, alias, older)}"
            + (f"; {_name_others(alias)}" if any(there) else "")
        )
    return older


def _name_others(alias: str) -> str:
    return (
        f"`rollouts versions {shell_word(alias)}` shows the others, and "
        f"`{way_back.build_command(alias, '--to', 'VERSION')}` goes to one of them"
    )


def _find_named(
    services: Services, alias: str, live: str, named: str, history: ServingHistory
) -> str:
    """Returns the collection of the named version, if it serves nothing yet, is there, and has
    served before. A collection that has served may be one that another program made."""
    adopted = False
    older = named
    if named not in history.served:
        version = find_version(services, alias, named)
        older, adopted = version.collection, version.deployment_id is None
    if older == live:
        raise Refused(
            f"{older} serves {alias} already; `rollouts versions {shell_word(alias)}` shows the "
            "others"
        )
    if is_gone(services, older):
        raise Refused(f"{older} is no longer there: {describe_gone(services, alias, older)}")
    if older not in history.served and not adopted:
        raise Refused(
            f"{older} has never served {alias}, and a rollback asks no gate: `rollouts deploy "
            f"--collection {shell_word(older)} {shell_word(alias)}` takes it through one"
        )
    return older


def _check_mark(services: Services, alias: str, older: str, named: str, *, force: bool) -> None:
    with services.sessions() as session:
        row = session.get(Version, older)
        mark = describe_mark(row) if row is not None else None
    if mark is not None and not force:
        confirmed = way_back.build_command(alias, "--to", named, "--force")
        raise Refused(f"{older} is {say_mark(mark)}; `{confirmed}` goes back to it anyway")


def _check_serves(services: Services, alias: str, older: str) -> None:
    """Raises Refused unless the version is ready, and has the vectors that the declared search of
    the index asks. If another process has the embedded store open, the switch itself looks."""
    try:
        aliases.check_target(services, older)
        declared = services.indexes().get(alias)
        if declared is not None:
            check_search(services, declared, older)
    except Busy:
        return
    except Refused as error:
        raise Refused(f"{older} cannot serve {alias} now: {error}") from error

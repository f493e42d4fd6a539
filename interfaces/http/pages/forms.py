"""Actions: each form is a function from a visit and its fields to the page that follows.

Rule: a form has what its page showed, so a button does what stands beside it, or nothing. It may be
pressed twice, or long after it was shown.
"""

from collections.abc import Callable, Mapping
from urllib.parse import quote

from qdrant_rollouts.core.collections import marks
from qdrant_rollouts.core.collections.deletion import retention_policy
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import commands as schedule_commands
from qdrant_rollouts.core.operations.views.overview.actions.versions import VERSION_VERBS
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.interfaces.http.pages.visits import Visit

Form = Mapping[str, str]
#: The address of the following page.
Next = str

_REQUESTS = (
    Event.PROMOTE,
    Event.PROMOTE_FULL,
    Event.RETRY,
    Event.PAUSE,
    Event.RESUME,
    Event.ABORT_KEEP,
    Event.ABORT,
)


def on_deployment(visit: Visit, form: Form) -> Next:
    verb = _chosen_verb(form, _REQUESTS)
    id = visit.request.path_params["id"]
    found = commands.request_action(
        visit.services,
        id,
        Event(verb),
        actor=visit.actor,
        reason=form.get("reason", ""),
        place=form.get("place"),
    )
    return f"/deployments/{found}"


def on_index(visit: Visit, form: Form) -> Next:
    verb = _chosen_verb(form, ("deploy", "rollback", "rollback_now", *VERSION_VERBS))
    alias = visit.request.path_params["alias"]
    reason = form.get("reason", "")
    if verb == "deploy":
        begun = commands.start_deployment(visit.services, alias, actor=visit.actor, reason=reason)
    elif verb in ("mark_bad", "mark_good"):
        marks.mark_version(
            visit.services,
            alias,
            form.get("version", ""),
            bad=verb == "mark_bad",
            actor=visit.actor,
            reason=reason,
        )
        return f"/indexes/{quote(alias, safe='')}"
    else:
        begun = commands.start_rollback(
            visit.services,
            alias,
            actor=visit.actor,
            to=form.get("version", "") if verb in VERSION_VERBS else None,
            force=verb == "rollback_to_bad",
            reason=reason,
            now=verb == "rollback_now",
            expected=form.get("collection"),
        )
    return f"/deployments/{begun}"


def on_keep(visit: Visit, form: Form) -> Next:
    retention_policy.keep_collection(
        visit.services, form.get("collection", ""), actor=visit.actor, reason=form.get("reason", "")
    )
    return own_path(form.get("back", "/"))


def on_experiment(visit: Visit, form: Form) -> Next:
    verb = _chosen_verb(form, ("start", "stop", "widen"))
    id = visit.request.path_params["id"]
    reason = form.get("reason", "")
    if verb == "start":
        found = experiment_commands.start_experiment(visit.services, id, actor=visit.actor)
    elif verb == "stop":
        found = experiment_commands.stop_experiment(
            visit.services, id, actor=visit.actor, reason=reason
        )
    else:
        found = experiment_commands.widen_experiment(
            visit.services, id, _basis_points(form), actor=visit.actor, reason=reason
        )
    return f"/experiments/{found}"


def on_schedule(visit: Visit, form: Form) -> Next:
    verbs: dict[str, Callable[..., object]] = {
        "run": schedule_commands.run_schedule,
        "pause": schedule_commands.pause_schedule,
        "resume": schedule_commands.resume_schedule,
    }
    do = verbs[_chosen_verb(form, verbs)]
    alias = form.get("alias", "")
    action = form.get("action", "")
    do(visit.services, alias, action, actor=visit.actor, reason=form.get("reason", ""))
    return "/schedules"


def on_backup(visit: Visit, form: Form) -> Next:
    verb = _chosen_verb(form, ("create", "verify", "restore"))
    backup = form.get("backup", "")
    reason = form.get("reason", "")
    if verb == "create":
        begun = backups.create_backup(
            visit.services, form.get("alias", ""), actor=visit.actor, reason=reason
        )
    elif verb == "verify":
        begun = backups.verify_backup(visit.services, backup=backup, actor=visit.actor)
    else:
        begun = backups.restore_backup(
            visit.services, backup=backup, actor=visit.actor, reason=reason
        )
    return f"/deployments/{begun}"


def own_path(path: str) -> str:
    """Returns ``path`` if it stays on this site; else the first page."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    if not inside:
        return "/"
    return quote(path, safe="/?=&%:@-._~")


def _chosen_verb(form: Form, known: object) -> str:
    verb = form.get("verb", "")
    assert isinstance(known, tuple | dict)
    if verb not in known:
        raise Malformed(f"verb {quote_value(verb)} is not known here; known: {', '.join(known)}")
    return verb


def _basis_points(form: Form) -> int:
    """Converts a percentage that a person typed."""
    try:
        return round(float(form.get("coverage", "")) * 100)
    except (ValueError, OverflowError):
        raise Malformed(
            f"coverage is {quote_value(form.get('coverage', ''))}; expected a percentage up to 100"
        ) from None

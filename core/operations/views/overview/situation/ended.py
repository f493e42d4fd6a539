"""Runs that have ended: what they left, and the way back."""

from urllib.parse import quote

from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.deployments.end_messages import find_cause
from qdrant_rollouts.core.operations.views.overview import causes
from qdrant_rollouts.core.operations.views.overview.situation.parts import (
    Run,
    Since,
    Situation,
    begin_sentence,
)
from qdrant_rollouts.core.ports.naming import shell_word


def describe_live(run: Run) -> Situation:
    if not run.moves_alias:
        return _describe_good_end(run)
    served = causes.find_switch_time(run.told) or run.told["finished_at"] or ""
    if run.around.live != run.told["green"]:
        return Situation(
            tone="calm",
            now=f"{begin_sentence(run.green)} went live, and no longer serves. "
            f"{run.say_what_serves(if_blue=' again')}",
            since=(Since("it went live at", served),),
            ended=run.told["finished_at"],
            needed="Nothing: it has ended",
        )
    return Situation(
        tone="good",
        now=f"{run.alias} is served by {run.green}, which this deployment made live",
        since=(Since("it serves since", served), Since("the run began at", run.told["created_at"])),
        ended=run.told["finished_at"],
        needed="Nothing",
        back=_describe_way_back(run),
        kept_until=None if run.around.gone else run.around.kept_until,
        link=f"/indexes/{quote(run.alias, safe='')}",
        see="the index page, which has the button",
    )


def _describe_way_back(run: Run) -> str:
    blue = run.told["blue"]
    if blue is None:
        return "There is no version before it"
    if run.around.gone:
        return f"{begin_sentence(run.name_collection(blue))} no longer exists"
    command = way_back.build_command(run.alias, *run.around.back)
    return f"`{command}` brings back {run.name_collection(blue)}, while it is kept"


def describe_completed(run: Run) -> Situation:
    command = f"rollouts deploy --collection {shell_word(run.told['green'])}"
    return Situation(
        tone="good",
        now=f"{begin_sentence(run.green)} was built and tried; this plan moves no searches to it. "
        f"{run.say_what_serves()}",
        since=(Since("the run began at", run.told["created_at"]),),
        ended=run.told["finished_at"],
        needed=f"Nothing. While it is kept, `{command} {shell_word(run.alias)}` makes it live",
    )


def _describe_good_end(run: Run) -> Situation:
    """The end of a backup or a verification: the last step's words say what there is."""
    what = "The backup is complete"
    if run.told["kind"] == "verification":
        what = "The backup can be restored"
    return Situation(
        tone="good",
        now=": ".join(filter(None, (what, run.told["message"]))),
        since=(Since("the run began at", run.told["created_at"]),),
        ended=run.told["finished_at"],
        needed="Nothing. Backups are verified and restored on their page",
        link="/backups",
        see="the backups",
    )


def describe_rolled_back(run: Run) -> Situation:
    if not run.moves_alias:
        return _describe_failed_end(run)
    link, see = run.link_to_cause()
    cause = find_cause(run.told["message"])
    needed = "Nothing at once. Correct the cause before the next deployment"
    if causes.find_failed_step(run.told) is None:  # a person has ended it
        needed = "Nothing"
    return Situation(
        tone="bad",
        now=f"It did not go live: {cause.what}. {run.say_what_serves()}",
        since=(Since("the run began at", run.told["created_at"]),),
        ended=run.told["finished_at"],
        needed=needed,
        advice=cause.next,
        link=link,
        see=see,
    )


def _describe_failed_end(run: Run) -> Situation:
    what = "There is no backup"
    if run.told["kind"] == "verification":
        what = "The backup could not be verified"
    return Situation(
        tone="bad",
        now=f"{what}: {find_cause(run.told['message'])}",
        since=(Since("the run began at", run.told["created_at"]),),
        ended=run.told["finished_at"],
        needed=f"Correct the cause, then start the {run.told['kind']} again",
        link="/backups",
        see="the backups",
    )

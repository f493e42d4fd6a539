"""The answers of the tools. The descriptions of fields are in the schema that a model gets, so they
are written for it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers.plans import Plan
from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.collections.version_facts import say_mark
from qdrant_rollouts.core.collections.versions import without_credentials
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.lifecycle import MOVING, Status
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.routing import Answer
from qdrant_rollouts.core.times import as_text
from qdrant_rollouts.interfaces.mcp.situations import Situation, build_situation
from qdrant_rollouts.interfaces.mcp.words import for_agents

#: Characters of all payloads of an answer, of one payload, and of one text in it: a model reads
#: everything it gets.
ANSWER_SIZE = 40_000
PAYLOAD_SIZE = 4_000
TEXT_SIZE = 1_500
_CUT = " […]"

#: What to do about a deployment, by its status.
_NEXT: dict[str, str] = {
    Status.PENDING: "call get_deployment again, with wait_seconds; if it stays pending, nothing "
    "runs deployments: tell "
    "a person",
    Status.RUNNING: "call get_deployment again, with wait_seconds",
    Status.ROLLING_BACK: "call get_deployment again, with wait_seconds",
    Status.PAUSED: "tell a person, who decides (rollouts promote, retry, resume or abort), what "
    "message and gate say; "
    "then call get_deployment again",
    Status.LIVE: "nothing: search_with_alias answers from the new collection",
    Status.COMPLETED: "nothing changed for searches, because this strategy only tries the "
    "new collection out; get_deployment has the result",
    Status.ROLLED_BACK: "nothing changed for searches; tell a person what must be corrected "
    "(message says it) before deploy_new_index is called again",
    Status.NEEDS_OPERATOR: "tell a person, who is needed, what message says (then rollouts abort); "
    "after that call "
    "get_deployment again",
}

_QUEUED = (
    "call get_deployment again, later: it waits for a place among the rebuilds, and begins by "
    "itself"
)

_DONE = {"done", "skipped"}
_AT = {"running", "waiting"}


class Hit(BaseModel):
    id: PointId
    score: float = Field(
        description="Compare it only with others of this answer: its scale is that of the index's "
        "query"
    )
    payload: dict[str, Any] = Field(description="The stored record, long texts cut")


class Found(BaseModel):
    alias: str
    collection: str = Field(description="The collection that answered")
    version: int | None = Field(
        description="Its version of the index; null for one that this system did not make"
    )
    variant: str = Field(
        description="Whose answer it is: live, or an arm of a canary or an experiment"
    )
    results: list[Hit] = Field(description="Best first")
    note: str = Field("", description="What is missing in this answer, if anything is")


class Index(BaseModel):
    alias: str = Field(description="What to search")
    collection: str | None = Field(
        None, description="What serves it now; null before the first deployment"
    )
    version: int | None = None
    model: str | None = Field(None, description="The embedding model of what serves")
    points: int | None = Field(None, description="Points when it was built")
    declared: bool = Field(
        description="Whether the index file declares it, so that it can be deployed"
    )
    source: str | None = Field(description="Where a deployment reads from")
    deployment: str | None = Field(description="The deployment under way")
    attention: list[str] = Field(description="What somebody should look at")
    deletions: list[str] = Field(
        description="Which collections will be deleted, when, and the command that keeps each"
    )


class Indexes(BaseModel):
    indexes: list[Index]
    note: str = Field("", description="What could not be asked, if anything could not")
    total: int = Field(description="How many indexes there are")
    next: str | None = Field(
        description="Pass it as `after` to get the indexes that follow; null if these were the last"
    )


class Version(BaseModel):
    number: int | None = Field(
        description="Its number; null for a collection that another program made"
    )
    collection: str
    state: str = Field(
        description="live, building, retained, deletion due, gone, failed, or unknown"
    )
    marked_bad: str = Field(description="Who has marked it bad, and why; empty if nobody has")
    rolled_away: bool = Field(description="Whether a rollback has left it or went past it")
    rollback_target: bool = Field(
        description="Whether a rollback leads to it if no version is named"
    )
    points: int | None = None
    model: str | None = None
    created_at: str | None = None
    deletion: str = Field(description="When it will be deleted, and the command that keeps it")


class Versions(BaseModel):
    alias: str
    versions: list[Version] = Field(description="Newest first")
    total: int = Field(description="How many versions there are")


class MarkedVersion(BaseModel):
    alias: str
    version: int
    collection: str
    marked_bad: str = Field(description="Who has marked it bad, and why; empty if nobody has")
    changed: bool = Field(description="False if it was so before")
    next: str = Field(description="What to do now")


class Started(BaseModel):
    deployment_id: str
    status: str
    alias: str
    old_collection: str | None
    new_collection: str
    warnings: list[str] = Field([], description="What the gate will not be able to decide")
    next: str = Field(description="What to do now")
    deletions: list[str] = Field(
        description="Which collections will be deleted, when, and the command that keeps each"
    )


class Planned(BaseModel):
    plan: Plan = Field(
        description="Each figure has a value with the ends of its interval, and its source; what "
        "is null is not known, and the source says why"
    )
    next: str = Field(description="What to do now")


class Step(BaseModel):
    name: str
    status: str
    message: str
    progress: float | None = Field(description="How much of it is done, from 0 to 1")


class Verdict(BaseModel):
    verdict: str = Field(description="pass, block or inconclusive")
    not_passed: list[str] = Field(
        description="Each check that did not pass, with what was measured and its bound"
    )
    report: str = Field(description="The resource with the whole report")


class Seen(BaseModel):
    id: str
    alias: str
    strategy: str
    status: str
    moving: bool = Field(
        description="Whether it goes on by itself; if not, it has ended or waits for a person"
    )
    old_collection: str | None
    new_collection: str
    message: str
    situation: Situation
    steps: list[Step]
    gate: Verdict | None = Field(
        description="Whether the new collection may serve; null until it is judged"
    )
    created_at: str
    finished_at: str | None
    next: str = Field(description="What to do now")
    deletions: list[str] = Field(
        description="Which collections will be deleted, when, and the command that keeps each"
    )


def build_found(alias: str, answer: Answer, version: int | None, note: str) -> Found:
    """Payloads share the available room, so fifty long records are not more to read than ten."""
    room = min(PAYLOAD_SIZE, ANSWER_SIZE // max(1, len(answer.results)))
    shown = [(hit, *bound_payload(hit.payload, room)) for hit in answer.results]
    if any(cut for _, _, cut in shown):
        note = "; ".join(
            filter(
                None, [note, "long texts and fields without room are cut; ask for fewer results"]
            )
        )
    return Found(
        alias=alias,
        collection=answer.collection,
        version=version,
        variant=answer.variant,
        results=[Hit(id=hit.id, score=hit.score, payload=payload) for hit, payload, _ in shown],
        note=note,
    )


def build_indexes(home: Mapping[str, Any], declared: Mapping[str, IndexSpec]) -> Indexes:
    """Returns what ``core.operations.views.overview.home`` shows people, and the parts of the index
    file that an agent can use."""
    note = for_agents("; ".join(filter(None, [home["qdrant_error"], home["file_error"]])))
    return Indexes(
        indexes=[_build_index(one, declared.get(one["alias"])) for one in home["indexes"]],
        note=note,
        total=home["total"],
        next=home["next"],
    )


def _build_index(shown: Mapping[str, Any], spec: IndexSpec | None) -> Index:
    live = shown["live"] or {}
    running = shown["running"] or {}
    return Index(
        alias=shown["alias"],
        collection=live.get("collection"),
        version=live.get("number"),
        model=live.get("model"),
        points=live.get("points"),
        declared=spec is not None,
        source=without_credentials(spec.source) if spec and spec.source else None,
        deployment=running.get("id"),
        attention=[for_agents(one["text"]) for one in shown["attention"]],
        deletions=deletion_texts(shown),
    )


def build_versions(found: index_answers.Versions, limit: int) -> Versions:
    rows = found["versions"]
    return Versions(
        alias=found["alias"],
        versions=[_build_version(row) for row in rows[:limit]],
        total=len(rows),
    )


def _build_version(row: Mapping[str, Any]) -> Version:
    return Version(
        number=row["number"],
        collection=row["collection"],
        state=row["state"],
        marked_bad=_say_mark(row.get("marked_bad")),
        rolled_away=bool(row.get("rolled_away")),
        rollback_target=bool(row.get("rollback_target")),
        points=row.get("points"),
        model=row.get("model"),
        created_at=row.get("created_at"),
        deletion=for_agents(row.get("deletion") or ""),
    )


def _say_mark(mark: Mapping[str, Any] | None) -> str:
    return say_mark(mark) if mark is not None else ""


def build_marked(marked: index_answers.Marked) -> MarkedVersion:
    return MarkedVersion(
        alias=marked["alias"],
        version=marked["number"],
        collection=marked["collection"],
        marked_bad=_say_mark(marked["marked_bad"]),
        changed=marked["changed"],
        next=for_agents(marked["next"]),
    )


def build_planned(plan: Plan) -> Planned:
    return Planned(
        plan={**plan, "warnings": [for_agents(warning) for warning in plan["warnings"]]},
        next="nothing was changed; deploy_new_index would begin it",
    )


def deletion_texts(shown: Mapping[str, Any]) -> list[str]:
    """Returns what will be deleted of an index or by a deployment, in words."""
    return [for_agents(one["text"]) for one in shown["deletions"]]


def bound_payload(payload: Mapping[str, Any], room: int) -> tuple[dict[str, Any], bool]:
    """Returns the fields of ``payload`` in order while there is room for ``room`` characters of
    JSON, with texts cut to ``TEXT_SIZE``; and whether anything was left out. Keys that deployments
    store there for themselves are left out."""
    kept: dict[str, Any] = {}
    cut = False
    for key, value in payload.items():
        if key == MARK_KEY:
            continue
        shown = _shorten_text(value, min(TEXT_SIZE, room // 2))
        size = len(as_json_text({key: shown}))
        cut |= shown != value or size > room
        if size <= room:
            kept[key], room = shown, room - size
    return kept, cut


def as_json_text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, default=as_text)


def _shorten_text(value: Any, most: int) -> Any:
    if isinstance(value, str) and len(value) > most:
        return value[: most - len(_CUT)] + _CUT
    return value


def build_seen(deployment: Mapping[str, Any]) -> Seen:
    """Returns a deployment of ``get_deployment_with_situation``, without its events and the gate's
    rows that passed."""
    status = deployment["status"]
    return Seen(
        id=deployment["id"],
        alias=deployment["alias"],
        strategy=deployment["strategy"],
        status=status,
        moving=status in MOVING,
        old_collection=deployment["blue"],
        new_collection=deployment["green"],
        message=for_agents(
            deployment["queue"]["text"] if deployment["queue"] else deployment["message"]
        ),
        situation=build_situation(deployment["situation"]),
        steps=[_build_step(step) for step in deployment["steps"]],
        gate=_build_verdict(deployment),
        created_at=deployment["created_at"],
        finished_at=deployment["finished_at"],
        next=_QUEUED if deployment["queue"] else next_action(status),
        deletions=deletion_texts(deployment),
    )


def next_action(status: str) -> str:
    return _NEXT.get(
        status, "call get_deployment again, with wait_seconds: a newer release works on it"
    )


def count_done(seen: Seen) -> float:
    """Returns how many steps are done, with the current one in part."""
    return sum(1.0 if step.status in _DONE else step.progress or 0.0 for step in seen.steps)


def current_place(seen: Seen) -> str:
    """Returns the current step, in words."""
    at = next((step for step in seen.steps if step.status in _AT), None)
    if at:
        return f"{at.name}: {at.message}".removesuffix(": ")
    return seen.message


def _build_step(step: Mapping[str, Any]) -> Step:
    progress = step["progress"] or {}
    share = None
    if progress.get("size"):
        share = min(1.0, progress["done"] / progress["size"])
    return Step(
        name=step["name"],
        status=step["status"],
        message=for_agents(step["message"]),
        progress=share,
    )


def _explain_check(row: Mapping[str, Any]) -> str:
    """In words first; reports of an older release have only figures."""
    said = " ".join(row[key] for key in ("found", "means", "act") if row.get(key))
    figures = f"{row['value']} against {row['bound']}; {row['detail']}"
    if said:
        return f"{row['name']}: {said} ({figures})"
    return f"{row['name']}: {figures}"


def _build_verdict(deployment: Mapping[str, Any]) -> Verdict | None:
    report = deployment["gate"]
    if report is None:
        return None
    failed = [
        row for row in report["checks"] if row["verdict"] != "pass" and row["level"] != "shown"
    ]
    return Verdict(
        verdict=report["verdict"],
        not_passed=[for_agents(_explain_check(row)) for row in failed],
        report=f"rollouts://deployments/{deployment['id']}/gate",
    )

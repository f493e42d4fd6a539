"""Two versions of an index asked side by side, and judgments of what they answer."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field

from qdrant_rollouts.core.answers.asking import ComparedAnswers, JudgmentChange
from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.operations.asking import judgments
from qdrant_rollouts.core.operations.asking.bounds import MOST_ANSWERS
from qdrant_rollouts.core.operations.asking.compare import compare_answers
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access.asking import PLACES
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.words import for_agents


class RankedAnswer(BaseModel):
    rank: int
    record: int | str = Field(description="The id by which judge_answers names it")
    score: float = Field(description="Compare it only with others of the same side")
    title: str
    text: str = Field(description="The beginning of it")
    moved: str = Field(
        description="From left to right: ↑2 and ↓3 so many ranks, same, only here, or tied (only "
        "equal scores lie between the ranks); empty if the other side did not answer"
    )
    other_rank: int | None = Field(description="Its rank on the other side")


class Side(BaseModel):
    name: str = Field(description="live, a version such as v3, or a collection")
    collection: str
    version: int | None
    model: str | None = Field(description="What embeds its queries")
    error: str = Field(description="Why it did not answer; empty if it did")
    answers: list[RankedAnswer] = Field(description="Best first")


class Compared(BaseModel):
    alias: str
    query: str
    summary: str = Field(description="How many records both have, and how many of those moved")
    left: Side
    right: Side | None = Field(description="Null if there is only one version to ask")


class Judged(BaseModel):
    alias: str
    changed: bool = Field(description="False if the proposal had this line before")
    lines: int = Field(description="How many lines the proposal has now")
    next: str = Field(description="What to do now")


class AskingTools:
    def __init__(self, services: Services, guard: Guard) -> None:
        self._services = services
        self._guard = guard

    def ask_both(
        self,
        context: Context,
        alias: Annotated[str, Field(description="An index; list_indexes names them")],
        query: Annotated[str, Field(description="What to look for, in words")],
        left: Annotated[
            str,
            Field(
                description="A number or collection of list_versions; empty for the one that serves"
            ),
        ] = "",
        right: Annotated[
            str,
            Field(
                description="The same; empty for what a deployment has built, else for the version "
                "before"
            ),
        ] = "",
        limit: Annotated[
            int,
            Field(
                description="How many answers of each side",
                json_schema_extra={"minimum": 1, "maximum": MOST_ANSWERS},
            ),
        ] = RESULTS,
    ) -> Compared:
        """Asks two versions of an index the same query, each with its own model, and says which
        answers moved from left to right. It is no traffic and changes nothing."""
        with self._guard.check_scope(context, "read"), PLACES.take_place():
            return _build_compared(
                compare_answers(self._services, alias, query, left, right, limit)
            )

    def judge_answers(
        self,
        context: Context,
        alias: Annotated[str, Field(description="An index; list_indexes names them")],
        query: Annotated[str, Field(description="The query of ask_both")],
        relevant: Annotated[
            list[int | str] | dict[str, float],
            Field(description="The `record` of each relevant answer; or records with grades"),
        ],
        reason: Annotated[
            str, Field(description="Why these; kept with the line and the audit events")
        ],
    ) -> Judged:
        """Adds a line to the proposal of judged queries of an index; one of the same query is
        replaced. A person decides whether it goes into the judged file."""
        with self._guard.check_scope(context, "deploy") as caller:
            return _build_judged(
                judgments.add_judgment(
                    self._services, alias, query, relevant, actor=caller.name, reason=reason
                )
            )


def _build_compared(found: ComparedAnswers) -> Compared:
    right = found["right"]
    return Compared(
        alias=found["alias"],
        query=found["query"],
        summary=found["summary"],
        left=_build_side(found["left"]),
        right=_build_side(right) if right is not None else None,
    )


def _build_side(side: Mapping[str, Any]) -> Side:
    return Side(
        name=side["name"],
        collection=side["collection"],
        version=side["number"],
        model=side["model"],
        error=for_agents(side["error"]),
        answers=[
            RankedAnswer(
                rank=one["rank"],
                record=one["record"],
                score=one["score"],
                title=one["title"],
                text=one["text"],
                moved=one["mark"],
                other_rank=one["other_rank"],
            )
            for one in side["answers"]
        ],
    )


def _build_judged(changed: JudgmentChange) -> Judged:
    return Judged(
        alias=changed["alias"],
        changed=changed["changed"] > 0,
        lines=changed["lines"],
        next="nothing at once; a person downloads the proposal and appends it to the judged file",
    )

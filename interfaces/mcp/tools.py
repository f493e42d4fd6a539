"""What agents may ask. Each tool is one function of the core; its docstring is what a model reads
of it."""

from functools import partial
from typing import Annotated

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.core.collections import lineage, marks
from qdrant_rollouts.core.defaults import INDEXES, RESULTS
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.mcp import answers, declared, lists
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.once import CallKey, start_once

#: A model reads every result; a caller that needs more uses the HTTP API.
MOST_RESULTS = 50
MOST_VERSIONS = 50
LONGEST_QUERY = 4_000
#: Clients give up on a call after a minute.
LONGEST_WAIT = 50.0
_POLL_SECONDS = 0.5


class Tools:
    def __init__(self, services: Services, routers: Routers, guard: Guard) -> None:
        self._services = services
        self._routers = routers
        self._guard = guard
        #: Set when the server ends, so that no call waits any longer.
        self.closing = anyio.Event()

    def search_with_alias(
        self,
        context: Context,
        query: Annotated[str, Field(description="What to look for, in words")],
        alias: Annotated[
            str, Field(description="Which index to search; list_indexes names them")
        ] = "documentation",
        limit: Annotated[
            int,
            Field(
                description="How many results",
                json_schema_extra={"minimum": 1, "maximum": MOST_RESULTS},
            ),
        ] = RESULTS,
        user_id: Annotated[
            str | None,
            Field(
                description="Whose search it is: while versions are compared, a user stays with one"
            ),
        ] = None,
    ) -> answers.Found:
        """Searches an index with the query that is declared for it (by meaning, by words, or both
        in one list) and returns the records found with their scores, best first."""
        with self._guard.check_scope(context, "search"):
            _check_search(query, limit)
            with self._routers.one() as router:
                answer = router.search(alias, query, user_id, limit)
            return answers.build_found(alias, answer, *self._version_of(answer.collection))

    def list_indexes(
        self,
        context: Context,
        limit: Annotated[
            int,
            Field(
                description="How many indexes",
                json_schema_extra={"minimum": 1, "maximum": INDEXES},
            ),
        ] = MOST_RESULTS,
        after: Annotated[str, Field(description="The `next` of the answer before")] = "",
    ) -> answers.Indexes:
        """Lists the indexes that can be searched, what serves each of them, and what goes on
        there."""
        with self._guard.check_scope(context, "read"):
            if not 1 <= limit <= INDEXES:
                raise Refused(f"limit is {limit}; expected 1 to {INDEXES}")
            return lists.read_index_page(self._services, limit, after)

    def list_versions(
        self,
        context: Context,
        alias: Annotated[str, Field(description="An index; list_indexes names them")],
        limit: Annotated[
            int,
            Field(
                description="How many versions",
                json_schema_extra={"minimum": 1, "maximum": MOST_VERSIONS},
            ),
        ] = RESULTS,
    ) -> answers.Versions:
        """Lists the versions of an index, newest first: which one serves, which are still there,
        which are marked bad, and where a rollback leads."""
        with self._guard.check_scope(context, "read"):
            if not 1 <= limit <= MOST_VERSIONS:
                raise Refused(f"limit is {limit}; expected 1 to {MOST_VERSIONS}")
            return answers.build_versions(lineage.list_versions(self._services, alias), limit)

    async def get_deployment(
        self,
        context: Context,
        deployment_id: Annotated[str, Field(description="The id, or the beginning of it")],
        wait_seconds: Annotated[
            float,
            Field(
                description="How long to wait for its end; progress is reported meanwhile",
                json_schema_extra={"minimum": 0, "maximum": LONGEST_WAIT},
            ),
        ] = 0.0,
    ) -> answers.Seen:
        """Says how a deployment stands: what happens now, until when and what a person must do;
        its steps, what the gate found, and what to do next."""
        look = partial(
            anyio.to_thread.run_sync, self._read_deployment, context, deployment_id, wait_seconds
        )
        seen: answers.Seen = await look()
        ends = anyio.current_time() + wait_seconds
        told = -1.0
        while seen.moving and anyio.current_time() < ends and not self.closing.is_set():
            if answers.count_done(seen) > told:  # the protocol cannot express going back or staying
                told = answers.count_done(seen)
                await context.report_progress(told, len(seen.steps), answers.current_place(seen))
            with anyio.move_on_after(min(_POLL_SECONDS, ends - anyio.current_time())):
                await self.closing.wait()
            seen = await look()
        return seen

    def plan_deployment(
        self,
        context: Context,
        alias: Annotated[str, Field(description="A declared index; list_indexes names them")],
        source: Annotated[
            str, Field(description="What the index file declares, or nothing: no other is taken")
        ] = "",
    ) -> answers.Planned:
        """Says what deploy_new_index would do and take (records, texts, tokens, seconds, disk,
        memory, cost), and how far the last plans were off. Changes nothing."""
        with self._guard.check_scope(context, "deploy"):
            return answers.build_planned(declared.plan_declared(self._services, alias, source))

    def deploy_new_index(
        self,
        context: Context,
        alias: Annotated[str, Field(description="A declared index; list_indexes names them")],
        source: Annotated[
            str, Field(description="What the index file declares, or nothing: no other is taken")
        ] = "",
        validate: Annotated[
            bool, Field(description="Must be true: no gate is ever skipped")
        ] = True,
        key: CallKey = "",
    ) -> answers.Started:
        """Begins to rebuild an index from its declared source and returns at once; get_deployment
        says how it goes.

        The alias moves to the new collection only after it has passed its checks, and is put back
        if it does badly.
        """
        with self._guard.check_scope(context, "deploy") as caller:
            begin = partial(
                declared.deploy_declared,
                self._services,
                alias,
                source,
                validate=validate,
                actor=caller.name,
            )
            asked = "deploy_new_index", alias, source
            return start_once(self._services, caller, key, asked, begin, self._describe_started)

    def roll_back_index(
        self,
        context: Context,
        alias: Annotated[str, Field(description="An index; list_indexes names them")],
        version: Annotated[
            str,
            Field(
                description="A number or collection of list_versions; empty for the last version "
                "that served and that no rollback has left and nobody has marked bad"
            ),
        ] = "",
        reason: Annotated[str, Field(description="Why; kept with the audit events")] = "",
        key: CallKey = "",
    ) -> answers.Started:
        """Goes back to an older version that is still there, and returns at once; get_deployment
        says how it goes.

        A version that is marked bad is refused: a person decides about it.
        """
        with self._guard.check_scope(context, "deploy") as caller:
            begin = partial(
                commands.start_rollback,
                self._services,
                alias,
                to=version or None,
                actor=caller.name,
                reason=reason or "asked for by an agent",
            )
            asked = "roll_back_index", alias, version
            return start_once(self._services, caller, key, asked, begin, self._describe_started)

    def mark_version(
        self,
        context: Context,
        alias: Annotated[str, Field(description="An index; list_indexes names them")],
        version: Annotated[
            str,
            Field(description="A number or collection of list_versions, or live"),
        ],
        reason: Annotated[
            str, Field(description="Why; kept with the version and the audit events")
        ],
        bad: Annotated[bool, Field(description="False takes the mark back")] = True,
    ) -> answers.MarkedVersion:
        """Marks a version bad, so that no rollback chooses it by itself, or takes the mark back.
        Nothing that serves or is kept changes."""
        with self._guard.check_scope(context, "deploy") as caller:
            marked = marks.mark_version(
                self._services, alias, version, bad=bad, actor=caller.name, reason=reason
            )
            return answers.build_marked(marked)

    def _describe_started(self, started: str) -> answers.Started:
        answer = queries.describe_started(self._services, started)
        shown = queries.get_deployment(self._services, started)
        return answers.Started(
            **answer,
            next=answers.next_action(answer["status"]),
            deletions=answers.deletion_texts(shown),
        )

    def _read_deployment(
        self, context: Context, deployment_id: str, wait_seconds: float
    ) -> answers.Seen:
        with self._guard.check_scope(context, "read"):
            if not 0 <= wait_seconds <= LONGEST_WAIT:
                raise Refused(
                    f"wait_seconds is {wait_seconds:g}; expected 0 to {LONGEST_WAIT:g}: call again "
                    "after that"
                )
            return answers.build_seen(get_deployment_with_situation(self._services, deployment_id))

    def _version_of(self, collection: str) -> tuple[int | None, str]:
        """A search needs no database, so its answer is not lost without one."""
        try:
            return lineage.find_number(self._services, collection), ""
        except SQLAlchemyError:
            return None, "the database did not answer, so the version is not known"


def _check_search(query: str, limit: int) -> None:
    if not query.strip():
        raise Refused("query is empty; say in words what to look for")
    if len(query) > LONGEST_QUERY:
        raise Refused(
            f"query has {len(query):,} characters; at most {LONGEST_QUERY:,} are taken: shorten it"
        )
    if not 1 <= limit <= MOST_RESULTS:
        raise Refused(f"limit is {limit}; expected 1 to {MOST_RESULTS}")

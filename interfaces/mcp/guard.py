"""Around every request of an agent: the caller, its scope, and errors in words that reach the
model."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from sqlalchemy.exc import DBAPIError

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.interfaces.access.tokens import Caller
from qdrant_rollouts.interfaces.mcp.words import for_agents

#: Tool -> the scope that it needs.
SCOPE_OF = {
    "search_with_alias": "search",
    "list_indexes": "read",
    "get_deployment": "read",
    "list_versions": "read",
    "ask_both": "read",
    "plan_deployment": "deploy",
    "deploy_new_index": "deploy",
    "roll_back_index": "deploy",
    "mark_version": "deploy",
    "judge_answers": "deploy",
}


@dataclass(frozen=True, slots=True)
class Failures:
    """Turns expected errors into one that the library shows; it hides the message of every other
    exception."""

    refused: type[Exception]
    other: type[Exception]


IN_TOOLS = Failures(ToolError, ToolError)
IN_RESOURCES = Failures(ResourceNotFoundError, ResourceError)


@dataclass(frozen=True, slots=True)
class Guard:
    """``caller`` returns the caller; ``lent`` is entered around every call, for what must be
    released after it."""

    caller: Callable[[Context], Caller]
    lent: Callable[[], AbstractContextManager[object]] = nullcontext

    @contextmanager
    def check_scope(
        self, context: Context, scope: str, failures: Failures = IN_TOOLS
    ) -> Iterator[Caller]:
        caller = self.caller(context)
        if not caller.may(scope):
            raise failures.refused(
                f"{caller.name} may not do this: the scope {scope} is missing. "
                f"{_list_tools(caller)} A person gives it "
                f"with `rollouts token create NAME --scope {scope}`"
            )
        try:
            with events.use_source("mcp"), self.lent():
                yield caller
        except Refused as error:
            raise failures.refused(for_agents(str(error))) from error
        except AppError as error:
            raise failures.other(for_agents(str(error))) from error
        except DBAPIError as error:
            raise failures.other(
                f"{explain_error(error)}; call again in a minute, and tell a person if it still "
                "does not work"
            ) from error


def _list_tools(caller: Caller) -> str:
    """Returns the tools that the caller may use."""
    left = [tool for tool, scope in SCOPE_OF.items() if caller.may(scope)]
    if not left:
        return "Its token is for no tool here."
    return f"Its token is for {', '.join(left)}."

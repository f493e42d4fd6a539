"""An endpoint as a row of a table, and the one way in which every row is answered: check the
caller, then the request, then act."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qdrant_rollouts.adapters import broker
from qdrant_rollouts.core.config.index_file import validate_as
from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.ports.naming import check_found_name, check_name
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_text
from qdrant_rollouts.interfaces.access.idempotency import answer_once, build_key
from qdrant_rollouts.interfaces.access.tokens import Caller
from qdrant_rollouts.interfaces.http.app_context import AppContext, context_of
from qdrant_rollouts.interfaces.http.security import require_scope

PREFIX = "/api/v1"
#: Path parameters whose names were given by others, not by this program.
FOREIGN_NAMES = ("alias", "collection")
#: A function whose answer is one of ``core.answers`` declares it: the document takes the answer
#: from its return type.
Answer = Mapping[str, Any]

#: Deep nesting is refused, not followed.
_JSON: TypeAdapter[Any] = TypeAdapter(Any)


class Body(BaseModel):
    """The JSON body: strict types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """The query string: texts that are parsed as their declared types."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(Query):
    """No query parameters."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its caller, and the names in its path. ``along`` is passed on to whatever is
    started."""

    context: AppContext
    caller: Caller
    path: Mapping[str, str] = field(default_factory=dict)
    along: InTransaction = do_nothing

    @property
    def services(self) -> Services:
        return self.context.services

    @property
    def actor(self) -> str:
        return self.caller.name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``does`` declares the types of the request, its parameter ``given``, and of the answer.
    ``show_started`` marks an endpoint that starts something: it builds the answer from the id of
    what was started, and an ``Idempotency-Key`` is accepted. ``tag`` returns a text that differs
    after every change of the answer: whoever sends it again as ``If-None-Match`` gets no answer,
    status 304."""

    method: str
    path: str
    scope: str
    does: Callable[[Call, Any], Answer]
    summary: str
    show_started: Callable[[Call, str], Answer] | None = None
    tag: Callable[[Call], str] | None = None

    @property
    def takes(self) -> type[Body] | type[Query]:
        """The type of the request: a ``Query`` if there is no body."""
        taken: type[Body] | type[Query] = _read_types(self.does)["given"]
        return taken

    @property
    def answers(self) -> Any:
        """The type of the answer."""
        return _read_types(self.does)["return"]

    @property
    def status(self) -> int:
        return 202 if self.show_started else 200


@cache
def _read_types(does: Callable[[Call, Any], Answer]) -> Mapping[str, Any]:
    return get_type_hints(does)


def build_route(endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        """The body is not read if the caller lacks the scope, or if there should be none."""
        if issubclass(endpoint.takes, Query):
            return await run_in_threadpool(_answer_request, endpoint, request, b"")
        await run_in_threadpool(require_scope, request, endpoint.scope)
        body = await request.body()
        return await run_in_threadpool(_answer_request, endpoint, request, body)

    return Route(PREFIX + endpoint.path, answer, methods=[endpoint.method])


def render_json(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON cannot express infinity or NaN: they become null."""
    text = json.dumps(
        _replace_infinite(content), ensure_ascii=False, default=as_text, allow_nan=False
    )
    return Response(text, status, headers, "application/json")


def _answer_request(endpoint: Endpoint, request: Request, body: bytes) -> Response:
    caller = require_scope(request, endpoint.scope)
    path = {name: _check_path_name(name, value) for name, value in request.path_params.items()}
    content = _read_content(endpoint, request, body)
    given = validate_as(endpoint.takes, content, "request")
    call = Call(context_of(request), caller, path)
    if endpoint.tag is not None:
        return _answer_if_changed(endpoint, request, call, given, endpoint.tag(call))
    if endpoint.show_started is None:
        return render_json(endpoint.does(call, given))
    return _start_once(endpoint, request, call, given)


def _answer_if_changed(
    endpoint: Endpoint, request: Request, call: Call, given: BaseModel, tag: str
) -> Response:
    """The tag was computed before the answer, so the answer is never older than its tag."""
    headers = {"ETag": f'"{tag}"'}
    known = request.headers.get("if-none-match", "").split(",")
    if any(one.strip().removeprefix("W/") == headers["ETag"] for one in known):
        return Response(status_code=304, headers=headers)
    return render_json(endpoint.does(call, given), headers=headers)


def _check_path_name(what: str, name: str) -> str:
    """Others may have named aliases and collections; all other names in a path are ours."""
    if what in FOREIGN_NAMES:
        return check_found_name(what, name)
    return check_name(what, name)


def _start_once(endpoint: Endpoint, request: Request, call: Call, given: BaseModel) -> Response:
    """Nothing is started that could not be announced: the broker is tried first, as on the command
    line."""
    if not call.context.settings.embedded:
        broker.ping_broker(call.context.settings)
    name = request.headers.get("idempotency-key")
    if name is None:
        return render_json(endpoint.does(call, given), endpoint.status)
    key = build_key(
        call.actor, name, request.method, request.scope["path"], given.model_dump(mode="json")
    )
    show = endpoint.show_started
    assert show is not None

    def start(along: InTransaction) -> Answer:
        return endpoint.does(Call(call.context, call.caller, call.path, along), given)

    answer, before = answer_once(call.services, key, start, lambda id: show(call, id))
    return render_json(
        answer, endpoint.status, {"Idempotency-Replayed": "true"} if before else None
    )


def _read_content(endpoint: Endpoint, request: Request, body: bytes) -> dict[str, Any]:
    """Raises Malformed for a body that is not a JSON object, or that contains what no database can
    store."""
    if issubclass(endpoint.takes, Query):
        content = _read_parameters(request)
    elif not body:
        content = {}
    else:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Malformed(
                f"request: Content-Type is {quote_value(kind)}; expected application/json"
            )
        content = _parse_body(body)
    _check_plain(content)
    return content


def _read_parameters(request: Request) -> dict[str, Any]:
    pairs = request.query_params.multi_items()
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("request: a parameter is given twice; each may stand once")
    return found


def _parse_body(body: bytes) -> dict[str, Any]:
    try:
        content = _JSON.validate_json(body)
    except ValidationError as error:
        raise Malformed(f"request: {error.errors()[0]['msg']}") from None
    if not isinstance(content, dict):
        raise Malformed(f"request: found a {type(content).__name__}; expected an object")
    return content


def _check_plain(content: Any) -> None:
    if isinstance(content, str) and ("\0" in content or not _is_encodable(content)):
        raise Malformed("request: a text holds a NUL or half a character; leave it out")
    if isinstance(content, float) and not math.isfinite(content):
        raise Malformed(f"request: found {content}; expected a finite number")
    parts = content
    if isinstance(content, dict):
        parts = (*content, *content.values())
    for part in parts if isinstance(parts, list | tuple) else ():
        _check_plain(part)


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _replace_infinite(content: Any) -> Any:
    if isinstance(content, float):
        if not math.isfinite(content):
            return None
        return content
    if isinstance(content, Mapping):
        return {str(name): _replace_infinite(value) for name, value in content.items()}
    if isinstance(content, list | tuple | set):
        return [_replace_infinite(value) for value in content]
    if is_dataclass(content) and not isinstance(content, type):
        return _replace_infinite(asdict(content))
    return content

"""``/livez``: this process answers. ``/readyz``: what it depends on answers too, and some process
runs deployments; otherwise 503, with a description of the problem.

Neither needs a token, because monitors of processes have none; the details are only for callers who
may read.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.errors import AppError, OtherRelease
from qdrant_rollouts.interfaces.health_checks import (
    Check,
    at_turns,
    inspect_broker,
    inspect_database,
    inspect_qdrant,
    inspect_sweep,
)
from qdrant_rollouts.interfaces.http.app_context import AppContext, context_of
from qdrant_rollouts.interfaces.http.security import caller_of_request

#: The caller waits at most this long; a server that hangs blocks its check for up to 10 s.
CHECK_TIMEOUT = 3.0


def health_routes() -> list[BaseRoute]:
    return [Route("/livez", _answer_livez), Route("/readyz", Readiness().answer)]


def _answer_livez(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


class Readiness:
    """One thread for each check, and no second check while one waits: so a server that hangs blocks
    only that many threads, however often the path is requested."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(thread_name_prefix="ready")
        self._under_way: dict[str, Future[Check]] = {}
        self._guard = Lock()

    def answer(self, request: Request) -> Response:
        checks = self.checks(context_of(request))
        ready = all(check.state == "ok" for check in checks)
        told = _public_check
        if _may_read(request, checks):
            told = _full_check
        return JSONResponse(
            {"ready": ready, "checks": [told(check) for check in checks]}, 200 if ready else 503
        )

    def checks(self, context: AppContext) -> list[Check]:
        with self._guard:
            for name, look in _health_checks(context).items():
                if name not in self._under_way or self._under_way[name].done():
                    self._under_way[name] = self._pool.submit(_run_health_check, name, look)
            asked = dict(self._under_way)
        wait(asked.values(), CHECK_TIMEOUT)
        return [
            look.result() if look.done() else _unanswered_check(name)
            for name, look in asked.items()
        ]


def _health_checks(context: AppContext) -> dict[str, Callable[[], Check]]:
    services = context.services
    looks: dict[str, Callable[[], Check]] = {
        "database": partial(inspect_database, services.engine),
        "qdrant": partial(inspect_qdrant, services.store),
        "sweep": partial(inspect_sweep, services),
        "turns": partial(at_turns, services),
    }
    if context.settings.embedded:
        return looks
    return {**looks, "broker": partial(inspect_broker, context.settings)}


def _run_health_check(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except OtherRelease as error:
        return Check(name, "fail", str(error), "see docs/upgrading.md")
    except AppError as error:
        return Check(name, "fail", str(error), _START)
    except SQLAlchemyError as error:
        return Check(name, "fail", str(explain_error(error)), _START)


def _unanswered_check(name: str) -> Check:
    return Check(name, "fail", f"it has not answered for {CHECK_TIMEOUT:g} s", _START)


_START = "start it, or correct its address; `rollouts doctor` looks closer"


def _may_read(request: Request, checks: list[Check]) -> bool:
    """A database that hangs is not asked for the caller."""
    if any(check.name == "database" and check.state != "ok" for check in checks):
        return False
    try:
        return caller_of_request(request).may("read")
    except (AppError, SQLAlchemyError):
        return False


def _full_check(check: Check) -> dict[str, str]:
    return {**_public_check(check), "value": check.value}


def _public_check(check: Check) -> dict[str, str]:
    """Without addresses and versions."""
    return {"name": check.name, "state": check.state, "advice": check.advice}

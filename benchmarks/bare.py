"""What any answer by HTTP costs here: Starlette and uvicorn, set as the product sets them, and
nothing behind them.

``python -m benchmarks.bare`` prints its address and serves until it is told to end.
"""

import socket

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qdrant_rollouts.interfaces.http import serving

_ANSWER = {
    "results": [{"id": number, "score": 1.0, "payload": {"id": number}} for number in range(10)]
}


async def _answer(request: Request) -> JSONResponse:
    await request.body()
    return await run_in_threadpool(JSONResponse, _ANSWER)


def main() -> None:
    app = Starlette(routes=[Route("/{path:path}", _answer, methods=["GET", "POST"])])
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as door:
        print(serving.socket_url(door), flush=True)
        serving.serve_until_signal(app, door)


if __name__ == "__main__":
    main()

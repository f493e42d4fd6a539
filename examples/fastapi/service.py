"""A search service: it searches an alias through a router, and reports clicks."""

import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StringConstraints

from qdrant_rollouts import Refused, Unavailable, open_async_router

ALIAS = "articles"
_YEAR = 365 * 24 * 3600


class Click(BaseModel):
    """``search`` is that of the answer in which the user clicked."""

    search: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    article: int


def find_visitor(request: Request, response: Response) -> str:
    """Returns who asks, by a cookie that only this service gives. A service with a login takes its
    user instead. What a browser says of itself must not be believed here: else anybody could report
    clicks of others, and make an experiment invalid."""
    known = request.cookies.get("visitor", "")
    if not re.fullmatch("[0-9a-f]{32}", known):
        known = uuid.uuid4().hex
        response.set_cookie("visitor", known, max_age=_YEAR, httponly=True, samesite="lax")
    return known


Visitor = Annotated[str, Depends(find_visitor)]


@asynccontextmanager
async def open_search(app: FastAPI) -> AsyncIterator[None]:
    """One router for each process. Closing it writes what it has observed."""
    async with open_async_router() as router:
        app.state.router = router
        app.state.experiment = os.environ.get("EXPERIMENT", "")
        yield


app = FastAPI(title="Articles", lifespan=open_search)


@app.get("/search")
async def search_articles(
    request: Request,
    visitor: Visitor,
    q: Annotated[str, Query(min_length=1, max_length=1_000)],
    limit: Annotated[int, Query(ge=1, le=50)] = 5,
) -> dict[str, Any]:
    answer = await request.app.state.router.search(ALIAS, q, user_id=visitor, limit=limit)
    return {
        "search": uuid.uuid4().hex,
        "results": [
            {"id": hit.id, "title": hit.payload["title"], "score": hit.score}
            for hit in answer.results
        ],
    }


@app.post("/clicks", status_code=202)
async def record_click(request: Request, visitor: Visitor, click: Click) -> dict[str, bool]:
    """The key makes it safe to send a click again: it is counted once. The variant is empty: the
    experiment knows which one the visitor met."""
    state = request.app.state
    if not state.experiment:
        return {"recorded": False}
    recorded = await state.router.track_feedback(
        state.experiment,
        "",
        "clicks",
        1,
        user_id=visitor,
        key=f"{click.search} {click.article}",
    )
    return {"recorded": recorded}


@app.exception_handler(Refused)
async def answer_refused(request: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)


@app.exception_handler(Unavailable)
async def answer_unavailable(request: Request, error: Unavailable) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=503)

"""A search service: it searches an alias through a router, and reports clicks."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from qdrant_rollouts import Refused, Unavailable, open_async_router

ALIAS = "articles"


class Click(BaseModel):
    """``search`` and ``variant`` are those of the answer in which the user clicked."""

    search: str
    variant: str
    user: str
    article: int


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
    request: Request, q: str, user: str | None = None, limit: int = 5
) -> dict[str, Any]:
    answer = await request.app.state.router.search(ALIAS, q, user_id=user, limit=limit)
    return {
        "search": uuid.uuid4().hex,
        "variant": answer.variant,
        "results": [
            {"id": hit.id, "title": hit.payload["title"], "score": hit.score}
            for hit in answer.results
        ],
    }


@app.post("/clicks", status_code=202)
async def record_click(request: Request, click: Click) -> dict[str, bool]:
    """The key makes it safe to send a click again: it is counted once."""
    state = request.app.state
    if not state.experiment:
        return {"recorded": False}
    recorded = await state.router.track_feedback(
        state.experiment,
        click.variant,
        "clicks",
        1,
        user_id=click.user,
        key=f"{click.search} {click.article}",
    )
    return {"recorded": recorded}


@app.exception_handler(Refused)
async def answer_refused(request: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)


@app.exception_handler(Unavailable)
async def answer_unavailable(request: Request, error: Unavailable) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=503)

"""Searches that do not block an event loop."""

import asyncio
from weakref import WeakKeyDictionary

import httpx

from qdrant_rollouts.adapters.qdrant_http import Rest, build_path, call_timeout, write_json
from qdrant_rollouts.adapters.qdrant_search import parse_hits, query_body
from qdrant_rollouts.core.ports import (
    Hit,
    PointStore,
    QueryVector,
    Searches,
    SearchParams,
    VectorStore,
)


def open_searches(url: str, api_key: str, store: VectorStore) -> Searches:
    """Over REST from the server at ``url``; the embedded ``store`` is searched in a thread."""
    if url:
        return ServerSearches(url, api_key)
    return ThreadedSearches(store)


class ServerSearches:
    """Each event loop has its own connections."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self._rest = Rest(url, api_key)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            WeakKeyDictionary()
        )

    async def search(
        self,
        collection: str,
        vector: QueryVector,
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[Hit]:
        path = build_path("collections", collection, "points", "query")
        body = query_body(vector, limit, how)
        with self._rest.translate_errors():
            response = await self._client_of_loop().post(
                path, content=write_json(body), timeout=call_timeout(how.seconds)
            )
        return parse_hits(self._rest.result(response)["points"])

    async def close(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client_of_loop(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx.AsyncClient(**self._rest.connection())
        return self._clients[loop]


class ThreadedSearches:
    def __init__(self, store: PointStore) -> None:
        self._store = store

    async def search(
        self, collection: str, vector: QueryVector, limit: int, how: SearchParams = SearchParams()
    ) -> list[Hit]:
        return await asyncio.to_thread(self._store.search, collection, vector, limit, how)

    async def close(self) -> None:
        """The store's owner closes it."""

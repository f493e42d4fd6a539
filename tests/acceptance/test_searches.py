"""People who search notice none of these faults."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from tests.acceptance.installation import QUERY, Installation, Watch, blue
from tests.world import EMBEDDING

THREADS = 4
VERSIONS = 3


@dataclass
class Searches:
    """Threads that search the alias without a pause, each over its own connection."""

    house: Installation
    alias: str
    served: int = 0
    failed: list[str] = field(default_factory=list)
    empty: int = 0

    @contextmanager
    def going_on(self):
        stopped = threading.Event()
        threads = [threading.Thread(target=self._search, args=(stopped,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        yield
        stopped.set()
        for thread in threads:
            thread.join()

    def _search(self, stopped: threading.Event) -> None:
        vector = open_embedder(EmbeddingSpec(**EMBEDDING)).query(QUERY).tolist()
        with httpx.Client(base_url=self.house.qdrant.url, trust_env=False, timeout=10) as web:
            while not stopped.is_set():
                self._one(web, {"query": vector, "limit": 5})

    def _one(self, web: httpx.Client, query: dict[str, object]) -> None:
        try:
            answer = web.post(f"/collections/{self.alias}/points/query", json=query)
        except httpx.TransportError as error:
            self.failed.append(repr(error))
            return
        self.served += 1
        if not answer.is_success:
            self.failed.append(answer.text)
        elif not answer.json()["result"]["points"]:
            self.empty += 1


def test_no_search_fails_or_comes_back_empty_while_three_versions_replace_each_other(
    house: Installation, database: str, figure: Callable[[str], None]
):
    house.make_live("searched")
    searches = Searches(house, "searched")
    greens = []
    with Watch(house) as watch, searches.going_on():
        for version in range(VERSIONS):
            house.write_documents(f"version-{version}.jsonl", 300 + version)
            house.deploy("searched", source=f"version-{version}.jsonl")
            row = house.ended("searched")
            assert row.status == "live", row.message
            assert house.count(row.green) == 300 + version
            greens.append(row.green)
    figure(
        f"{database:9} {VERSIONS} deployments under {THREADS} searching threads: "
        f"{searches.served:,} searches, "
        f"{len(searches.failed)} failed, {searches.empty} empty"
    )
    assert watch.moves("searched") == [blue("searched"), *greens]
    assert searches.served > 100
    assert (searches.failed, searches.empty) == ([], 0)


def test_a_version_that_fails_validation_never_serves_and_leaves_nothing_behind(
    house: Installation,
):
    house.make_live("failing")
    searches = Searches(house, "failing")
    with Watch(house) as watch, searches.going_on():
        house.deploy("failing", validation={"min_top_score": 1.0})
        row = house.ended("failing")
    assert row.status == "rolled_back"
    assert "min_top_score" in row.message
    assert QUERY in row.message
    assert watch.moves("failing") == [blue("failing")]
    assert house.aliases()["failing"] == blue("failing")
    assert row.green not in house.collections()
    assert "point_alias" not in [entry["call"] for entry in house.journal("failing")]
    assert (searches.failed, searches.empty) == ([], 0)

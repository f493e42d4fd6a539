"""An application of four processes with hybrid search, with and without a database, during a canary
whose green fails one search in ten, while the web process is killed and comes back."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.assignment import bucket
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.wiring import build_services
from tests.acceptance.hybrid_shop import DENSE, SPARSE, Search, searches
from tests.qdrants import wait_until
from tests.servers import FRESH, free_ports
from tests.shell import ROOT

PROCESSES = 4
STAGE = "canary/1"
VECTORS = {
    "vectors": {"dense": {"size": 4, "distance": "Dot"}},
    "sparse_vectors": {"words": {}},
}


@pytest.fixture
def shop(qdrant_url: str) -> str:
    """An alias over its blue collection, and the green one beside it."""
    with httpx.Client(base_url=qdrant_url, trust_env=False, timeout=30, limits=FRESH) as web:
        for name in ("shop-blue", "shop-green"):
            web.put(f"/collections/{name}", json=VECTORS).raise_for_status()
            vector = {"dense": DENSE, "words": SPARSE.model_dump()}
            points = [{"id": number, "vector": vector} for number in range(1, 6)]
            where = f"/collections/{name}/points"
            web.put(where, params={"wait": "true"}, json={"points": points}).raise_for_status()
        alias = {"create_alias": {"alias_name": "shop", "collection_name": "shop-blue"}}
        web.post("/collections/aliases", json={"actions": [alias]}).raise_for_status()
    return qdrant_url


@contextmanager
def running(arguments: list[str], folder: Path, **settings: str) -> Iterator[subprocess.Popen]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    environment |= settings
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def set_share(services: Services, percentage: int) -> Route:
    return table.set_route(
        services, "shop", blue="shop-blue", green="shop-green", share=percentage * 100,
        salt="salt", stage=STAGE,
    )  # fmt: skip


def until_all_serve(services: Services, route: Route) -> None:
    def serve() -> bool:
        agreed = table.confirm_route(services, route)
        return agreed.known == PROCESSES and agreed.all

    wait_until(serve, 120)


@pytest.mark.parametrize("reach", ["http", "database"])
def test_a_canary_reaches_a_hybrid_application_and_no_search_fails(
    shop: str, tmp_path: Path, figure: Callable[[str], None], reach: str
) -> None:
    house, elsewhere = tmp_path / "house", tmp_path / "elsewhere"
    house.mkdir()
    elsewhere.mkdir()
    database = f"sqlite:///{house / 'state.db'}"
    services = build_services(Settings(database_url=database, qdrant_url=shop, _env_file=None))
    token = tokens.create_token(services, "shop", ["router"], actor="anna")["token"]
    (port,) = free_ports(1)
    web = ["qdrant_rollouts.interfaces.cli", "web", "--port", str(port)]
    known = {"ROLLOUTS_DATABASE_URL": database, "ROLLOUTS_QDRANT_URL": shop}
    by_http = {"ROLLOUTS_URL": f"http://127.0.0.1:{port}", "ROLLOUTS_TOKEN": token}
    given = known if reach == "database" else {"ROLLOUTS_QDRANT_URL": shop, **by_http}
    application = ["tests.acceptance.hybrid_shop", str(elsewhere)]

    def count() -> int:
        return len(list(searches(elsewhere)))

    def wait_for_more(number: int) -> None:
        enough = count() + number
        wait_until(lambda: count() >= enough, 120)

    with closing(services):
        route = set_share(services, 10)
        with ExitStack() as shops:
            with running(web, house, **known) as server:
                for _ in range(PROCESSES):
                    shops.enter_context(running(application, elsewhere, **given))
                until_all_serve(services, route)
                wait_for_more(200)
                until_all_serve(services, set_share(services, 25))
                wait_for_more(200)
                server.kill()
                server.wait()
                wait_for_more(200)
                route = set_share(services, 50)
            with running(web, house, **known):
                until_all_serve(services, route)
                at_half = time.time()
                wait_for_more(400)
                shops.close()
        seen = list(searches(elsewhere))
        with services.sessions() as session:
            stages = traffic.read_tallies_by_stage(session, "shop").values()
            tallies = [tally for stage in stages for tally in stage.values()]

    assert [one for one in seen if one.error or not one.found] == []
    assert sum(tally.calls for tally in tallies) == len(seen), "each search was counted once"
    failed = sum(one.failed for one in seen)
    assert sum(tally.fallbacks for tally in tallies) == failed > 0
    assert moved_back(seen) == []
    met = {one.user: one.variant for one in seen if one.began > at_half}
    assert met == {user: route.variant(bucket("salt", user)) for user in met}
    share = sum(variant == "canary" for variant in met.values()) / len(met)
    figure(
        f"{len(seen):,} searches by {PROCESSES} processes by {reach}, {failed} failed in green, "
        f"none for a user; {share:.0%} of {len(met)} users met green at 50 %"
    )
    assert len(met) > 100


def moved_back(seen: list[Search]) -> list[str]:
    """Returns the users of a process who met green and then blue."""
    met: dict[tuple[int, str], list[bool]] = defaultdict(list)
    for one in seen:
        met[one.process, one.user].append(one.variant == "canary")
    return [user for (_, user), history in met.items() if history != sorted(history)]

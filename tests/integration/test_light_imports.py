"""What an application loads with this package: nothing that only workers, web servers or models
need."""

import os
import subprocess
import sys
import uuid

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from tests.shell import ROOT
from tests.world import World, texts

IMPORTS = """
from qdrant_rollouts import (
    AsyncQdrantClient, OutcomeUnknown, QdrantClient, Refused, Unavailable, open_async_router,
    open_router,
)
"""
#: It opens a router, searches by text and by vector, embeds, and writes. The router's thread has
#: written what it observed when it is closed.
USES = """
import os, sys
from qdrant_client import models
alias, server = sys.argv[1:]
with open_router() as router:
    found = router.search(alias, "gardens", user_id="anna")
    assert (found.variant, router.stats.database) == ("live", ""), router.stats
    vector = router.call(alias, lambda arm: arm.embed("gardens"), user_id="anna")
    assert router.search(alias, vector, user_id="anna").results
client = QdrantClient(url=server)
client.upsert(alias, [models.PointStruct(id=1, vector=vector)])
client.close()
"""
LISTS = """
import sys
print(*{name.partition(".")[0] for name in sys.modules})
"""
NEVER = {
    "alembic",
    "celery",
    "flower",
    "jinja2",
    "mako",
    "mcp",
    "pandas",
    "prometheus_client",
    "safetensors",
    "scipy",
    "sentence_transformers",
    "sse_starlette",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
    "uvicorn",
}
OF_A_BROKER = {"kombu", "redis"}


def loaded_by(folder, program, *arguments, **environment):
    """The packages that are loaded once the program has run."""
    done = subprocess.run(
        [sys.executable, "-c", program + LISTS, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_public_names_load_nothing_that_only_workers_need(tmp_path):
    assert loaded_by(tmp_path, IMPORTS) & (NEVER | OF_A_BROKER | {"yaml", "psycopg"}) == set()


@pytest.mark.parametrize("broker", ["memory", "redis"])
def test_a_router_and_a_client_load_none_of_it_when_they_are_used(
    tmp_path, ready_sqlite_url, qdrant_url, qdrant_grpc_port, redis_url, broker
):
    alias = f"light{uuid.uuid4().hex[:8]}"
    world = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    world.declare(alias, source=world.write("docs.jsonl", texts(20)))
    world.deploy(alias)
    world.run()
    world.close()
    loaded = loaded_by(
        tmp_path,
        IMPORTS + USES,
        alias,
        qdrant_url,
        ROLLOUTS_DATABASE_URL=ready_sqlite_url,
        ROLLOUTS_QDRANT_URL=qdrant_url,
        ROLLOUTS_QDRANT_GRPC_PORT=str(qdrant_grpc_port),
        ROLLOUTS_BROKER_URL=redis_url if broker == "redis" else "memory://",
    )
    assert loaded & NEVER == set()
    assert loaded & OF_A_BROKER == (OF_A_BROKER if broker == "redis" else set())

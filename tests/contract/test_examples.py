"""The examples of the documents work: pasted into the file of a healthy index they plan their
check, change nothing else, and the index goes live as before."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.config.index_file import load_index_file
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.asked import BY_VALUE, check_validation
from qdrant_rollouts.core.gate.evidence import judged
from qdrant_rollouts.core.ports import VectorStore
from tests.world import EMBEDDING, FEW, World, texts

DOCS = Path(__file__).parents[2] / "docs"
#: Of these only a server tells.
ON_A_SERVER = {"capacity", "latency_p50", "latency_p95"}
HEALTHY = {
    "indexes": {
        "documentation": {
            "source": "jsonl:docs/*.jsonl",
            "embedding": EMBEDDING,
            "soak": {"seconds": 2, "interval_seconds": 1},
            "validation": {
                "queries": ["text 7 about asyncio", "python"],
                "min_top_score": 0.3,
                "samples": {**FEW, "judged": 50},
                "live_searches_per_second": 1_000_000.0,
            },
        }
    }
}


def examples(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def by_check() -> dict[str, dict[str, Any]]:
    """The example under each check's heading."""
    text = (DOCS / "howto" / "checks.md").read_text(encoding="utf-8")
    parts = re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found = {name: re.findall(r"```yaml\n(.*?)```", part, re.DOTALL) for name, part in parts}
    assert all(len(blocks) == 1 for blocks in found.values())
    return {name: yaml.safe_load(block) for name, (block,) in found.items()}


def pasted(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = pasted(base[key], value) if both else value
    return merged


def leaves(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, content


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    if request.param == "server":
        url = request.getfixturevalue("qdrant_url")
        port = request.getfixturevalue("qdrant_grpc_port")
        opened: VectorStore = ServerStore(url, "", port)
    else:
        opened = LocalStore(":memory:")
    yield opened
    opened.close()


@pytest.fixture
def healthy(tmp_path: Path, ready_sqlite_url: str, store: VectorStore) -> Iterator[World]:
    """An index that is live, and the files that its examples name."""
    world = World(tmp_path, ready_sqlite_url, store)
    (tmp_path / "docs").mkdir()
    records = [{**record, "lang": "de" if record["id"] % 2 else "en"} for record in texts(60)]
    world.write("docs/all.jsonl", records)
    known = [
        {"query": f"text {number} about asyncio and python", "relevant": [number]}
        for number in range(60)
    ]
    lines = "".join(f"{json.dumps(one)}\n" for one in known)
    (tmp_path / "judged.jsonl").write_text(lines, encoding="utf-8")
    declare(world, HEALTHY)
    assert deployed(world)["status"] == "live"
    yield world
    world.engine.dispose()


def declare(world: World, content: Mapping[str, Any]) -> None:
    file = world.folder / "rollouts.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    world.indexes = load_index_file(file).indexes


def deployed(world: World) -> dict[str, Any]:
    deployment = world.deploy("documentation")
    world.run(turns=2000)
    return world.status(deployment)


def test_every_check_has_an_example() -> None:
    assert list(by_check()) == list(CHECKS)


@pytest.mark.parametrize(
    ("store", "name"),
    [("server" if name in ON_A_SERVER else "embedded", name) for name in CHECKS],
    indirect=["store"],
)
def test_the_example_of_a_check_plans_it_and_harms_nothing(healthy: World, name: str) -> None:
    example = by_check()[name]
    before = healthy.indexes["documentation"]
    declare(healthy, pasted(HEALTHY, example))
    after = healthy.indexes["documentation"]
    _only_what_it_says(before.model_dump(mode="json"), after.model_dump(mode="json"), example, name)
    status = deployed(healthy)
    assert status["status"] == "live", status["message"]
    if name in BY_VALUE:  # a field's values are counted by an index, which live now has too
        status = deployed(healthy)
    row = next(row for row in status["gate"]["checks"] if row["name"] == name)
    assert (row["verdict"], row["n"] > 0 or name == "payload_schema") == ("pass", True), row
    assert "accepted" not in row["detail"]
    assert {row["verdict"] for row in status["gate"]["checks"]} == {"pass"}


def _only_what_it_says(before: Any, after: Any, example: Mapping[str, Any], name: str) -> None:
    were = dict(leaves(before))
    are = dict(leaves(after))
    changed = {path for path in were.keys() | are.keys() if were.get(path) != are.get(path)}
    said = dict(leaves(example["indexes"]["documentation"]))
    assert changed - {"validation.checks", "collection.payload_indexes"} == said.keys()
    assert after["validation"]["checks"] == {name: True}
    assert set(said) - {f"validation.checks.{name}"} <= {
        "collection.payload_indexes.lang",
        "validation.slices",
        "validation.judged",
    }


@pytest.mark.parametrize(
    "page",
    sorted(
        str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.parent.name != "notes"
    ),
)
def test_what_an_example_asks_of_the_gate_makes_sense(tmp_path: Path, page: str) -> None:
    """Before anything is made, a deployment refuses a check that nobody knows, a bound it cannot
    have and a slice that cannot be counted."""
    for number, block in enumerate(examples(page)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block, encoding="utf-8")
        for spec in load_index_file(file).indexes.values():
            check_validation(spec, None)


def test_the_judged_queries_shown_can_be_read(tmp_path: Path) -> None:
    page = (DOCS / "understand" / "gate-judged.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "judged.jsonl").write_text(lines, encoding="utf-8")
    from qdrant_rollouts.adapters.sources import open_source

    store = LocalStore(":memory:")
    source = open_source(
        judged.source_text("judged.jsonl"), roots=(tmp_path,), store=store, shelf=None
    )
    assert len(judged.read_judged(source)) == len(lines.splitlines())
    store.close()

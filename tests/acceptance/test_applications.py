"""The messages that the documents show start a deployment."""

import re
from collections.abc import Iterator

import pytest

from qdrant_rollouts.core.lifecycle import Status
from tests.acceptance.conftest import Houses
from tests.acceptance.installation import OPTIONS, ROOT, Installation

ALIAS = "documentation"
HOWTO = ROOT / "docs" / "howto"
CELERY, PLAIN = (
    re.findall(r"```python\n(.*?)```", (HOWTO / page).read_text("utf-8"), re.DOTALL)[0]
    for page in ("start-from-application.md", "send-a-message.md")
)


@pytest.fixture(scope="module")
def declared(houses: Houses) -> Iterator[Installation]:
    house = houses["sqlite"]
    house.until(house.is_migrated, 60, "the tables of the database")
    house.make_live(ALIAS)
    house.declare({ALIAS: {"source": "jsonl:docs.jsonl", **OPTIONS}})
    yield house
    house.declare({})


@pytest.mark.parametrize("code", [CELERY, PLAIN], ids=["celery", "plain redis"])
def test_a_message_starts_a_deployment(declared: Installation, code: str):
    def newest() -> int:
        row = declared.deployment(ALIAS)
        return row.number if row else 0

    before = newest()
    exec(code.replace("redis://localhost:6379/0", declared.redis.url), {})  # noqa: S102 - our own page
    declared.until(lambda: newest() > before, 60, "a deployment that a message asked for")
    assert declared.ended(ALIAS).status == Status.LIVE

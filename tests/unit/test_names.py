"""Which names are legal: a strict rule for those that this program gives, Qdrant's rule for
existing ones."""

import re
import shlex
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.collections.manifests import file_name
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.ports.naming import (
    check_found_name,
    check_name,
    collection_name,
    shell_word,
)

NOW = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
#: What Qdrant 1.16.3 answers for.
FOUND = [
    "legacy.docs.v1",
    "a b",
    " a",
    ".x",
    "-x",
    "a%2Fb",
    "a#b?",
    "日本語",
    "é" * 127,
    "x" * 255,
    "a\nb",
    "{x}",
    "…",
]
NOT_FOUND = ["", "a/b", "a\0b", ".", "..", "x" * 256, "\ud800", None, 7]


@pytest.mark.parametrize("name", FOUND)
def test_what_qdrant_answers_for_may_be_named(name):
    assert check_found_name("collection", name) == name


@pytest.mark.parametrize("name", NOT_FOUND)
def test_what_no_request_can_name_is_refused_by_its_rule(name):
    with pytest.raises(
        Malformed, match=r"collection name .* is not allowed: Qdrant takes 1 to 255 characters"
    ):
        check_found_name("collection", name)


@pytest.mark.parametrize("name", [name for name in FOUND if name != "x" * 255])
def test_a_name_that_this_program_gives_is_strict(name):
    with pytest.raises(Malformed, match=r"alias name .* is not allowed: expected 1 to 128 letters"):
        check_name("alias", name)


def test_a_long_name_is_not_repeated_whole():
    with pytest.raises(Malformed) as refused:
        check_found_name("alias", "x" * 200_000)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("alias", "made"),
    [
        ("docs", "docs_20261102_020000"),
        ("x" * 128, "x" * 128 + "_20261102_020000"),
        ("legacy.docs v1", "legacy-docs-v1_20261102_020000"),
        ("Übersicht", "Ubersicht_20261102_020000"),
        ("../docs", "docs_20261102_020000"),
        ("日本語", "index_20261102_020000"),
        ("é" * 250, "e" * 64 + "_20261102_020000"),
    ],
)
def test_a_collection_is_named_after_its_alias_as_far_as_that_is_legal(alias, made):
    assert collection_name(alias, NOW, set()) == made
    assert collection_name(alias, NOW, {made}) == f"{made}_2"


@given(some.text(min_size=1))
def test_a_name_that_is_derived_is_legal_whatever_the_alias(alias):
    made = collection_name(alias, NOW, set())
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*_20261102_020000", made)
    assert len(made) <= 144


@given(some.text(min_size=1).filter(lambda name: "\0" not in name))
def test_a_command_that_is_shown_can_be_pasted(name):
    words = shlex.split(f"rollouts keep {shell_word(name)}")
    assert words[2:] == (["--", name] if name.startswith("-") else [name])


@pytest.mark.parametrize(
    "snapshot", ['a"b-1.snapshot', "a\nb-1.snapshot", "ü-1.snapshot", " a-1.snapshot", "x" * 240]
)
def test_a_snapshot_with_an_odd_name_has_a_plain_file(snapshot):
    assert file_name(snapshot, 3) == "part-3.snapshot"
    assert file_name("docs_1-2026.snapshot", 3) == "docs_1-2026.snapshot"


def test_an_index_without_a_grace_period_gets_the_one_that_commands_take():
    assert IndexSpec().grace_period_minutes == defaults.GRACE_MINUTES


@pytest.mark.parametrize("wanted", [{"foreign": "never"}, {"foreign": True}])
def test_what_becomes_of_others_collections_is_one_of_three_words(wanted):
    with pytest.raises(Refused, match=r"options: retention\.foreign: found"):
        IndexSpec().with_options({"retention": wanted})

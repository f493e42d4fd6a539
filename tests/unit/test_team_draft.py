"""Interleaving by team draft: the tables of docs/notes/experiments.md section 10, and its laws over
all coins."""

import itertools
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.team_draft import (
    Draft,
    coins,
    credit,
    distinct_documents,
    draft,
)

rankings = st.permutations("abcdefgh").flatmap(
    lambda keys: st.integers(0, 8).map(lambda size: keys[:size])
)


def tosses(length: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, 1), repeat=(length + 1) // 2))


def shown(found: Draft) -> str:
    """As the notes write it: the list, and whose each position is, in lower case where it is not
    credited."""
    letters = {"control": "A", "treatment": "B"}
    teams = [
        letters[place.team] if place.credited else letters[place.team].lower()
        for place in found.places
    ]
    return "".join(str(place.document) for place in found.places) + "/" + "".join(teams)


def expected_credits(control, treatment, length) -> dict[str, Fraction]:
    """Of each document, treatment less control, if it alone is clicked; times the drafts it is
    credited in."""
    every = tosses(length)
    found = {key: Fraction(0) for key in {*control, *treatment}}
    for bits in every:
        made = draft(control, treatment, bits, length)
        for key in found:
            found[key] += Fraction(credit(made, [key])[0], len(every))
    return found


@pytest.mark.parametrize(
    ("control", "treatment", "length", "drafts", "credits_of"),
    [
        ("abc", "bca", 3, "abc/ABa abc/ABb bac/BAa bac/BAb", {"a": -1, "b": 1, "c": 0}),
        (
            "abcd",
            "bdca",
            4,
            "abcd/ABAB abdc/ABBA bacd/BAAB badc/BABA",
            {"a": -1, "c": -1, "b": 1, "d": 1},
        ),
        (
            "ab",
            "cde",
            5,
            "acbde/ABABb acdbe/ABBAb cabde/BAABb cadbe/BABAb",
            {"a": -1, "b": -1, "c": 1, "d": 1, "e": 0},
        ),
    ],
)
def test_drafts_and_credits_are_those_of_the_notes(control, treatment, length, drafts, credits_of):
    every = tosses(length)
    seen = Counter(shown(draft(control, treatment, bits, length)) for bits in every)
    assert seen == dict.fromkeys(drafts.split(), len(every) // 4)
    assert expected_credits(control, treatment, length) == credits_of


def check_fairness(control, treatment, length) -> None:
    drafts = [draft(control, treatment, bits, length) for bits in tosses(length)]
    for position in range(length):
        votes = [found.places[position] for found in drafts if len(found.places) > position]
        credited = [place.team for place in votes if place.credited]
        assert credited.count("control") == credited.count("treatment"), (
            control,
            treatment,
            position,
        )
    for found in drafts:
        keys = [place.document for place in found.places]
        assert len(set(keys)) == len(keys) == min(length, len({*control, *treatment}))


def test_every_position_has_an_expected_credit_of_zero_and_no_document_comes_twice():
    rng = random.Random(10)
    for _ in range(4000):
        keys = "abcdefgh"[: rng.randint(1, 8)]
        control, treatment = (rng.sample(keys, rng.randint(0, len(keys))) for _ in range(2))
        check_fairness(control, treatment, rng.randint(1, 10))


def test_every_pair_of_lists_of_up_to_four_documents_is_fair_too():
    lists = [list(some) for size in range(4) for some in itertools.permutations("abcd", size)]
    for control, treatment in itertools.product(lists, lists):
        check_fairness(control, treatment, 4)


@given(rankings, rankings, st.integers(0, 2**32))
def test_swapping_lists_and_coins_swaps_the_teams_of_what_is_credited(control, treatment, seed):
    bits = coins("exp-1", str(seed))
    here = draft(control, treatment, bits, 8)
    there = draft(treatment, control, [1 - bit for bit in bits], 8)
    assert [place.document for place in here.places] == [place.document for place in there.places]
    other = {"control": "treatment", "treatment": "control"}
    credited = [other[place.team] if place.credited else None for place in here.places]
    assert credited == [place.team if place.credited else None for place in there.places]
    assert credit(here, "abc")[0] == -credit(there, "abc")[0]


@given(rankings, rankings, st.integers(1, 15), st.integers(1, 15))
def test_a_longer_draft_begins_with_the_shorter_one_so_that_pages_agree(
    control, treatment, one, other
):
    bits = coins("exp-1", "query-7")
    short, long = (draft(control, treatment, bits, length) for length in sorted((one, other)))
    assert long.places[: len(short.places)] == short.places


def test_the_common_prefix_stands_first_and_is_credited_to_nobody():
    found = draft("abcd", "abdc", coins("exp-1", "q"), 4)
    assert [place.document for place in found.places[:2]] == ["a", "b"]
    assert [place.credited for place in found.places] == [False, False, True, True]
    assert credit(found, "ab") == (0, 0)


@pytest.mark.parametrize(
    ("control", "treatment", "length"), [("abc", "abc", 3), ("abcx", "abcy", 3), ("", "", 5)]
)
def test_the_same_list_twice_is_untriggered_and_counts_for_nothing(control, treatment, length):
    found = draft(control, treatment, coins("exp-1", "q"), length)
    assert not found.triggered
    assert credit(found, control) == (0, 0)
    assert "".join(str(place.document) for place in found.places) == control[:length]


@pytest.mark.parametrize(("control", "treatment"), [("abc", ""), ("", "abc"), ("ab", "abc")])
def test_a_list_that_one_side_alone_fills_is_served_and_credited_to_nobody(control, treatment):
    found = draft(control, treatment, coins("exp-1", "q"), 10)
    assert found.triggered
    assert [place.document for place in found.places] == list("abc")
    assert credit(found, "abc") == (0, 0)


def test_chunks_of_one_document_stand_at_the_rank_of_the_first():
    assert distinct_documents(["guide", "faq", "guide", "api", "faq"]) == ("guide", "faq", "api")
    bits = coins("exp-1", "q")
    assert draft(["a", "b", "a", "c"], ["c", "c", "a"], bits, 3) == draft("abc", "ca", bits, 3)


def test_a_document_clicked_twice_votes_once_and_one_that_was_not_listed_never():
    found = draft("abcd", "bdca", (0, 0), 4)
    assert shown(found) == "abcd/ABAB"
    assert credit(found, ["b", "b", "d", "elsewhere"]) == (2, 1)
    assert credit(found, ["a", "c", "b"]) == (-1, -1)
    assert credit(found, ["a", "b"]) == (0, 0)
    assert credit(found, []) == (0, 0)


def test_the_same_query_gets_the_same_list_in_another_process():
    code = "from qdrant_rollouts.core.statistics.team_draft import *; "
    code += "print(draft('abcdef', 'fbdace', coins('exp-1', 'q-9'), 6))"
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert there.strip() == str(draft("abcdef", "fbdace", coins("exp-1", "q-9"), 6))


def test_coins_are_fair_and_independent_of_each_other_query_and_experiment():
    first = [coins("exp-1", str(number)) for number in range(4000)]
    assert {len(bits) for bits in first} == {512}
    for place in range(4):
        assert abs(sum(bits[place] for bits in first) / 4000 - 0.5) < 0.04
    pairs = Counter(bits[:2] for bits in first)
    assert min(pairs.values()) > 850
    other = [coins("exp-2", str(number)) for number in range(4000)]
    assert (
        abs(sum(one[0] == two[0] for one, two in zip(first, other, strict=True)) / 4000 - 0.5)
        < 0.04
    )


def test_a_draft_survives_being_written_down():
    found = draft(["a", 7, "b"], [7, "c", "a"], coins("exp-1", "q"), 4)
    assert Draft.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("length", "words"), [(0, "at least 1"), (-3, "at least 1"), (5, "at most 4")]
)
def test_a_length_that_cannot_be_is_refused(length, words):
    with pytest.raises(Refused, match=words):
        draft("abc", "cba", (0, 1), length)

"""How much of a value a message shows."""

import pytest
import yaml

from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.sanitize.quoting import (
    LONGEST_VALUE,
    describe_columns,
    describe_header,
    describe_yaml_error,
    error_text,
    quote_value,
    shorten_message,
    shorten_text,
)

LONG = "x" * 200_000
SECRET = "sesame" * 40


def test_a_short_value_is_shown_as_it_is():
    assert quote_value("docs") == "'docs'"
    assert quote_value(7) == "7"
    assert shorten_text("docs") == "docs"


@pytest.mark.parametrize(
    "value",
    [
        LONG,
        LONG.encode(),
        [LONG],
        {"a": [LONG, 1]},
        10**4000,
        10**5000,
        "\0" * 5000,
        "ü" * 100,
        "'" * 200,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_long_value_is_cut(value):
    assert len(quote_value(value)) <= LONGEST_VALUE


def test_a_cut_text_says_how_long_it_is():
    assert quote_value(LONG).endswith("… (200,000 characters)")
    assert quote_value(LONG).startswith("'xxx")
    assert shorten_text(LONG, 300).endswith("… (200,000 characters)")
    assert len(shorten_text(LONG, 300)) == 300


@pytest.mark.parametrize(
    "message", [LONG, "a b " * 50_000, f"alias {LONG} does not exist", "line\n" * 100_000]
)
def test_no_error_is_longer_than_a_page(message):
    for kind in (AppError, Refused):
        said = str(kind(message))
        assert max(map(len, said.splitlines())) <= 1000
        assert len(said.splitlines()) <= 100
        assert said == shorten_message(said)


@pytest.mark.parametrize(
    "message", ["docs/a.jsonl:1: id: missing", "one\ntwo", "/a/path/of" + "/some/length" * 20]
)
def test_a_message_of_ours_stays_as_it_is(message):
    assert str(Refused(message)) == message


def test_an_error_without_words_has_those_of_its_kind():
    assert str(Refused()) == "This request makes no sense in the current state."


@pytest.mark.parametrize(
    "words",
    [
        f"could not convert {SECRET!r}",
        f'invalid input syntax for integer: "{SECRET} {SECRET}"',
        f"no {SECRET} here",
    ],
)
def test_what_a_library_says_repeats_no_long_value(words):
    said = error_text(words)
    assert len(said) <= 200
    assert SECRET[:LONGEST_VALUE] not in said


@pytest.mark.parametrize(
    "text", [f"a: {SECRET}\nb: [", f"{SECRET}: 'x", f"a: !{SECRET} 1", f"a: *{SECRET}"]
)
def test_yaml_is_told_by_its_place_and_not_by_its_lines(text):
    with pytest.raises(yaml.YAMLError) as error:
        yaml.safe_load(text)
    said = describe_yaml_error(error.value)
    assert "at line " in said
    assert SECRET[:LONGEST_VALUE] not in said


@pytest.mark.parametrize(
    "header",
    [
        ["ROLLOUTS_QDRANT_API_KEY=sesame"],
        ["sesame"],
        ["hunter2", "x=y"],
        ["a1b2c3d4e5f6", "text"],
        ["7", "text"],
    ],
)
def test_a_first_line_that_is_no_header_is_not_shown(header):
    assert not any(name in describe_header(header) for name in header if len(name) > 1)


def test_columns_are_named_as_far_as_they_look_like_names():
    assert describe_header(["ID", "full name", "größe"]) == "ID, full name, größe"
    assert describe_columns(["name"]) == "name"
    assert describe_columns(["name", "x" * 41]) == "name, 1 more"
    assert describe_columns(["'a literal'"]) == "1 that look like no names"
    assert describe_columns([f"column_{one}" for one in range(100)]).endswith("column_19, 80 more")

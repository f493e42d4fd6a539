"""What a sample of records shows about its fields: suggestions for a text template and for
tenants."""

import pytest

from qdrant_rollouts.core.collections.survey import FoundFields, find_fields

BODY = "Tomatoes need sun, a large pot and water every day."


def sample(count=20, **fields):
    """Records whose fields are made of their number."""
    return [{name: make(number) for name, make in fields.items()} for number in range(count)]


def template(**fields):
    return find_fields(sample(**fields)).template


def test_a_title_comes_before_the_longest_text():
    found = find_fields(
        sample(
            text=lambda n: f"{BODY} {BODY} {n}",
            summary=lambda n: f"{BODY} {n}",
            title=lambda n: f"Tomatoes {n}",
        )
    )
    assert found == FoundFields(20, "title", "text")
    assert found.template == "{title}\n{text}"


@pytest.mark.parametrize(
    ("value", "is_text"),
    [
        (BODY, True),
        ("番茄需要阳光和很多水", True),
        ("tomato", False),
        ("http://localhost/a/page/about/tomatoes", False),
        ('{"a": 1, "b": 2, "c": 3}', False),
        ("3f0c2a91-b7d4-4c1e-9a55-6f2d3c1e5a0b", False),
        ("   ", False),
        (7, False),
        (["a b c d", "e f g h"], False),
    ],
)
def test_a_text_is_told_from_addresses_ids_and_other_values(value, is_text):
    assert bool(template(field=lambda _: value)) is is_text


def test_a_field_that_some_records_lack_is_in_no_template():
    """A deployment would stop at the first record without it."""
    assert template(text=lambda n: BODY, note=lambda n: None if n == 3 else BODY * 9) == "{text}"


def test_a_template_has_plain_names_only():
    fields = {
        "page text": lambda n: BODY * 3,
        "meta.text": lambda n: BODY * 2,
        "text": lambda n: BODY,
    }
    assert template(**fields) == "{text}"


def test_nothing_is_found_in_nothing():
    assert find_fields([]) == FoundFields()
    assert find_fields([{}, {}]).template == ""


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("tenant", lambda n: f"customer-{n}", "keyword"),
        ("customer_id", lambda n: n % 4, "integer"),
        ("course", lambda n: ["starter", "main", "dessert"][n % 3], "keyword"),
    ],
)
def test_what_looks_like_a_tenant_is_suggested_with_its_index(name, values, kind):
    assert find_fields(sample(text=lambda n: BODY, **{name: values})).tenants == {name: kind}


@pytest.mark.parametrize(
    "values",
    [
        lambda n: f"r-{n}",
        lambda n: "always the same",
        lambda n: True,
        lambda n: 1.5 * n,
        lambda n: "" if n % 2 else "a",
    ],
)
def test_what_never_repeats_or_never_changes_is_no_tenant(values):
    assert find_fields(sample(field=values)).tenants == {}

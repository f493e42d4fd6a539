"""What a strict mode allows, as numbers."""

import pytest

from qdrant_rollouts.core.ports import Limits

STRICT = {
    "enabled": True,
    "max_query_limit": 5,
    "search_allow_exact": False,
    "read_rate_limit": 120,
}


@pytest.mark.parametrize(
    "strict", [None, {}, {"enabled": False, "max_query_limit": 5}, {"max_query_limit": 5}]
)
def test_a_strict_mode_that_is_off_limits_nothing(strict):
    limits = Limits.of(strict)
    assert limits == Limits()
    assert limits.exact
    assert limits.page(4096) == limits.points_of_write(4096) == limits.ids(4096) == 4096
    assert limits.slices(101) == [(0, 101)]
    assert (limits.searches(32, 101), limits.reads(60)) == (32, None)


def test_settings_that_are_not_known_here_are_passed_over():
    assert Limits.of({**STRICT, "something_new": 3}) == Limits.of(STRICT)


@pytest.mark.parametrize(
    ("depth", "slices"), [(3, [(0, 3)]), (5, [(0, 5)]), (11, [(0, 5), (5, 5), (10, 1)])]
)
def test_a_deep_search_is_made_of_searches_that_are_allowed(depth, slices):
    assert Limits.of(STRICT).slices(depth) == slices


def test_our_share_of_a_rate_is_half_and_a_piece_of_work_takes_no_more_than_a_quarter_of_a_minute():
    limits = Limits.of(STRICT)
    assert limits.reads_per_second == 1
    assert limits.reads(90) == 90
    assert limits.searches(32, 5) == 30
    assert limits.searches(32, 11) == 10


def test_where_nothing_is_allowed_one_is_asked_for_and_the_server_says_no():
    limits = Limits.of({"enabled": True, "upsert_max_batchsize": 0, "read_rate_limit": 1})
    assert limits.points_of_write(256) == 1
    assert limits.searches(32, 10) == 1
    assert limits.reads(1) == 1


def test_the_limits_of_reading_are_named_as_qdrant_names_them():
    assert (
        Limits.of(STRICT).reading
        == "max_query_limit 5, read_rate_limit 120, search_allow_exact false"
    )


def test_a_wide_search_is_no_wider_than_allowed():
    assert Limits.of({"enabled": True, "search_max_hnsw_ef": 40}).wide == {"hnsw_ef": 40}
    assert Limits().wide == {"hnsw_ef": 512}


@pytest.mark.parametrize(
    ("strict", "ids"),
    [
        ({}, 1024),
        ({"read_rate_limit": 2}, 1024),
        ({"read_rate_limit": 20, "filter_max_conditions": 0}, 10),
        ({"read_rate_limit": 20, "max_query_limit": 5}, 25),
        ({"read_rate_limit": 20, "condition_max_size": 4}, 20),
    ],
)
def test_so_many_ids_are_fetched_at_once_as_our_share_of_a_minute_allows(strict, ids):
    assert Limits.of({"enabled": True, **strict}).fetched_ids(1024) == ids

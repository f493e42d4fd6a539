"""The connections to PostgreSQL: limits of ours, and the URL's own options beside them."""

import pytest
from sqlalchemy import make_url, text

from adapters.database import open_engine

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("5s", "2s", "5s", '"$user", public')),
        ("-c search_path=shop", ("5s", "2s", "5s", "shop")),
        (("-c lock_timeout=7s", "-c search_path=shop"), ("5s", "7s", "5s", "shop")),
    ],
)
def test_what_the_url_says_of_a_session_comes_after_our_limits(postgres_url, options, expected):
    url = make_url(postgres_url).update_query_dict({"options": options} if options else {})
    engine = open_engine(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        found = tuple(connection.scalar(text(f"SHOW {name}")) for name in LIMITS)
    engine.dispose()
    assert found == expected

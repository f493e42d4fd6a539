"""Which rows a page of a list shows."""

import pytest

from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.operations.views.paging import Place, find_place


@pytest.mark.parametrize(
    ("page", "found", "place"),
    [
        (1, 0, Place(page=1, pages=1, first=0, last=0, found=0)),
        (1, 25, Place(page=1, pages=1, first=1, last=25, found=25)),
        (2, 26, Place(page=2, pages=2, first=26, last=26, found=26)),
        (99, 60, Place(page=3, pages=3, first=51, last=60, found=60)),
    ],
    ids=["nothing", "one whole page", "one row more", "beyond the last page"],
)
def test_a_page_says_which_rows_of_how_many_it_shows(page, found, place):
    assert find_place(page, found, 25) == place


def test_an_unknown_choice_is_told_the_known_ones():
    check_choice("state", "", ("", "running"))
    with pytest.raises(Malformed) as refused:
        check_choice("state", "walking", ("", "running", "serves"))
    assert str(refused.value) == "state 'walking' is not known; known: running, serves"

"""A person who has never seen the pages finds three answers from the home page, in a real browser:
the walk of ``docs/howto/find-your-way.md``."""

import pytest

from docs.walk import PHONE, SCREEN, WALKS, follow_clicks, open_week

MOST_CLICKS = 3
#: Whether an element reaches beyond the part of its card that is visible.
_IS_CUT_OFF = """form => {
  const [inner, outer] = [form, form.closest(".card")].map(one => one.getBoundingClientRect());
  return inner.left < outer.left || inner.right > outer.right;
}"""


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    with open_week(tmp_path_factory.mktemp("week")) as opened:
        yield opened


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("size", [SCREEN, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("walk", WALKS, ids=[walk.name for walk in WALKS])
def test_an_answer_is_found_within_three_clicks_of_the_home_page(week, walk, size, javascript):
    browser, address = week
    viewport = {"width": size[0], "height": size[1]}
    page = browser.new_page(viewport=viewport, java_script_enabled=javascript)
    page.goto(address)
    follow_clicks(page, walk)
    for words in walk.answer:
        found = page.locator("main").get_by_text(words).first
        assert found.is_visible(), f"{words} is not on {page.url}"
        assert found.bounding_box()["y"] < size[1], f"{words} is below the first screen"
    for form in page.locator(".act[open] > form").all():
        assert form.evaluate(_IS_CUT_OFF) is False, "a form is cut off at the edge of its table"
    assert len(walk.clicks) <= MOST_CLICKS
    page.close()

"""The charts of pages: pictures, their data as tables, and the choice of a period, without
JavaScript."""

import re
from typing import get_args

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.operations.views.charts.axis import PERIODS
from qdrant_rollouts.core.operations.views.charts.queries import chart_index
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.interfaces.http.api.requests.indexes import ChartsQuery
from qdrant_rollouts.interfaces.http.app import make_app
from tests.contract.test_traffic import searches
from tests.integration.test_pages import Page
from tests.world import World, texts


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """docs was deployed once and searched for two minutes; new was not."""
    folder = tmp_path_factory.mktemp("charts")
    made = World(folder, f"sqlite:///{folder / 'state.db'}")
    made.declare("docs", source=made.write("docs.jsonl", texts(12)))
    made.declare("new", source="jsonl:docs.jsonl")
    made.first = made.deploy("docs")
    made.run()
    live = made.store.aliases()["docs"]
    key = TrafficKey("docs", "", "live", "real", live)
    for number in range(2):
        tallies = {key: searches(6 + number)}
        traffic.write_tallies(made.services.sessions, made.clock, "one", number, tallies)
        made.clock.move(60)
    yield made
    made.close()


@pytest.fixture
def client(world):
    return TestClient(
        make_app(world.services, Settings(_env_file=None)),
        base_url="http://localhost",
        client=("127.0.0.1", 1),
    )


def find_chart(html, name):
    return re.search(rf'<figure class="chart" data-chart="{name}">.*?</figure>', html, re.DOTALL)[0]


def read_table(figure):
    """Rows of a chart's table, as words."""
    rows = re.findall(r"<tr>(.*?)</tr>", figure, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub("<[^>]*>", "", cell).strip() for cell in row] for row in cells]


def test_the_table_below_a_chart_has_the_data_of_the_chart(world, client):
    page = client.get("/indexes/docs?period=1h").text
    found = chart_index(world.services, "docs", "1h")
    searched = next(one for one in found["charts"] if one["name"] == "searches")
    values = [value for value in searched["series"][0]["values"] if value is not None]
    figure = find_chart(page, "searches")
    head, *rows = read_table(figure)
    assert head == ["Time", "v1"]
    assert [row[1] for row in rows] == [f"{value:g}" for value in reversed(values)] == ["7", "6"]
    assert [row[0] for row in rows] == ["2 Nov 02:01", "2 Nov 02:00"]
    assert figure.count('scope="col"') == 2
    assert "<caption>" in figure
    assert 'aria-label="Searches per minute: v1 last 7, 6 to 7."' in figure


def test_every_course_and_every_figure_of_a_version_has_a_picture(client):
    page = client.get("/indexes/docs?period=1h").text
    names = re.findall(r'data-chart="([^"]*)"', page)
    assert names[:5] == ["searches", "errors", "p50", "p95", "filling"]
    assert names[5:] == ["ann_recall@10", "points", "build"]
    assert page.count('role="img"') >= 8
    assert "<b>v1</b> went live" in page


def test_a_period_is_chosen_by_a_link(client):
    page = Page(client.get("/indexes/docs"))
    links = {attrs["href"]: attrs for tag, attrs in page.tags if tag == "a" and "href" in attrs}
    current = [href for href, attrs in links.items() if attrs.get("aria-current") == "true"]
    assert current == ["?period=24h#charts"]
    assert {"?period=1h#charts", "?period=7d#charts", "?period=90d#charts"} <= links.keys()
    week = Page(client.get("/indexes/docs?period=7d"))
    current = [attrs["href"] for _, attrs in week.tags if attrs.get("aria-current") == "true"]
    assert current == ["?period=7d#charts"]


def test_an_unknown_period_is_refused_with_those_that_there_are(client):
    answer = client.get("/indexes/docs?period=2w")
    assert answer.status_code == 422
    assert "known: 1h, 6h, 24h, 7d, 30d, 90d" in answer.text


def test_an_index_that_nobody_searched_says_what_would_be_seen(client):
    page = Page(client.get("/indexes/new"))
    assert "No search was observed in the last 24 h" in page.text
    assert "Only searches that go through the router are seen" in page.text


def test_a_deployment_shows_its_filling_and_its_searches_and_no_choice_of_a_period(world, client):
    page = client.get(f"/deployments/{world.first}").text
    assert re.findall(r'data-chart="([^"]*)"', page) == ["searches", "p50", "p95", "filling"]
    assert "?period=" not in page


def test_the_same_data_comes_over_http(world, client):
    answer = client.get("/api/v1/indexes/docs/charts?period=1h")
    assert answer.json() == chart_index(world.services, "docs", "1h")
    assert client.get("/api/v1/indexes/nosuch/charts").status_code == 404
    assert client.get("/api/v1/indexes/docs/charts?period=2w").status_code == 422
    assert get_args(ChartsQuery.model_fields["period"].annotation) == tuple(PERIODS)

"""Experiments from the command line as people run them, on the embedded default: asked, searched,
read, decided."""

import signal
import time
from contextlib import chdir
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.interfaces.cli.running import open_services
from tests.shell import Shell, declare, records, write

DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:64", "text": "{title}: {text}"},
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
    "validation": {"samples": {"records": 12, "queries": 12}},
}
#: Windows of seconds, and what a few hundred users can show.
QUICK = [
    "window_hours=0.001",
    "min_days=0",
    "min_conversions=10",
    "n_star=400",
    "look_minutes=0.02",
]
AWAY = {"ROLLOUTS_QDRANT_URL": "http://127.0.0.1:1"}


def installed(folder: Path) -> Shell:
    """Two indexes of the same texts: ``docs`` is live, ``other`` has a collection to compare with
    it."""
    shell = Shell(folder)
    declare(folder, docs=DOCS, other=DOCS)
    write(folder / "docs" / "a.jsonl", records(30, "one"))
    for alias in ("docs", "other"):
        shell.json("deploy", alias, "--wait")
    return shell


@pytest.fixture
def shell(tmp_path):
    return installed(tmp_path)


def options(*given):
    return [word for option in given for word in ("--option", option)]


def create(shell, name="colours", *arguments, code=0):
    aliases = shell.json("alias", "list")["aliases"]
    arms = ("--control", aliases["docs"], "--treatment", aliases["other"])
    return shell.json("experiment", "create", name, *arms, *arguments, code=code)


def clicked(shell, experiment, users, rates):
    """Users search once; of each ten of an arm so many click. They are made up, all else is the
    product's."""
    met = dict.fromkeys(rates, 0)
    with chdir(shell.folder), open_services() as house, Router(house.services) as router:
        for user in range(users):
            variant, results = router.route_query(experiment, [1.0] * 64, str(user))
            assert results
            met[variant] += 1
            if met[variant] % 10 < rates[variant]:
                router.track_feedback(experiment, variant, "clicks", 1, str(user))


class Story:
    """An experiment of 300 users, and everything that is said of it."""

    def __init__(self, folder):
        self.shell = shell = installed(folder)
        wanted = (
            "--metric",
            "clicks",
            "--metric",
            "latency",
            "--metric",
            "dwell,kind=quantile,level=0.5",
        )
        self.created = create(shell, "colours", *wanted)
        self.id = self.created["id"]
        clicked(shell, self.id, 300, {"control": 3, "treatment": 5})
        self.report = shell.json("experiment", "report", "colours")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("experiments"))


# --- what is asked --------------------------------------------------------------------------------


def test_an_experiment_is_started_with_what_was_asked(story):
    spec = story.created["spec"]
    assert (story.created["status"], story.created["alias"]) == ("running", "docs")
    assert [(metric["name"], metric["kind"], metric["role"]) for metric in spec["metrics"]] == [
        ("clicks", "ratio", "primary"),
        ("latency", "ratio", "guardrail"),
        ("dwell", "quantile", "secondary"),
    ]
    assert story.created["stages"][0]["coverage"] == 10_000
    assert [arm["weight"] for arm in spec["arms"]] == [5000, 5000]


def test_searches_by_alias_are_split_and_a_user_keeps_his_collection(story):
    served: dict[str, str] = {}
    for user in range(7, 100):
        found = story.shell.json("search", "docs", "python", "--user", str(user))
        again = story.shell.json("search", "docs", "python", "--user", str(user))
        assert (again["variant"], again["collection"]) == (found["variant"], found["collection"])
        served[found["variant"]] = found["collection"]
        if len(served) == 2:
            break
    assert set(served) == {"control", "treatment"}
    assert served["control"] != served["treatment"]


def test_the_list_has_it_with_its_arms(story):
    (listed,) = story.shell.json("experiment", "list", "--alias", "docs")["experiments"]
    assert (listed["id"], listed["status"]) == (story.id, "running")
    assert story.shell.json("experiment", "list", "--alias", "other") == {"experiments": []}
    shown = story.shell("experiment", "list").stdout
    assert "colours" in shown
    assert "◌ running" in shown


# --- what is found --------------------------------------------------------------------------------


def test_a_report_counts_who_was_met_and_what_was_clicked(story):
    clicks = next(one for one in story.report["comparisons"] if one["metric"] == "clicks")
    assert story.report["units"]["control"] + story.report["units"]["treatment"] >= 300
    assert clicks["control"] == pytest.approx(0.3, abs=0.06)
    assert clicks["treatment"] == pytest.approx(0.5, abs=0.06)
    assert story.report["decision"]["action"] == "KEEP_RUNNING"
    assert story.report["counts"] == []


def test_a_person_reads_the_same_in_words(story):
    shown = story.shell("experiment", "report", story.id[:6]).stdout
    assert shown.splitlines()[0].split()[:3] == ["◌", "colours", "running"]
    for words in (
        "◷ keep running: ",
        "chi-square p",
        "valid for one planned look only",
        "a winner is read here",
    ):
        assert words in shown
    assert [line.split()[0] for line in shown.splitlines() if line[:6] in ("clicks", "dwell ")][
        :2
    ] == [
        "clicks",
        "dwell",
    ]


def test_a_report_is_drawn_with_every_metric(story):
    result = story.shell("experiment", "report", "colours", "--svg", "colours.svg", "--json")
    assert result.exit_code == 0
    assert "drawn: colours.svg" in result.stderr
    picture = ET.parse(story.shell.folder / "colours.svg")  # noqa: S314 - our own file
    texts = " ".join(text for text in picture.getroot().itertext())
    assert [
        word
        for word in ("clicks", "latency", "dwell", "higher is better", "lower is better")
        if word not in texts
    ] == []


def test_a_plan_takes_what_the_searches_know_and_asks_for_the_rest(shell):
    with chdir(shell.folder), open_services() as house, Router(house.services) as router:
        for user in range(400):
            router.search("docs", [1.0] * 64, str(user))
    seen = shell.json("experiment", "plan", "docs", "--target", "0.2")
    latency = next(metric for metric in seen["metrics"] if metric["name"] == "latency")
    assert seen["users_per_day"] == pytest.approx(400, rel=0.15)
    assert seen["target"] == 0.2
    assert latency["users"]["control"] > 0
    assert "last 24 hours" in latency["from"]
    assert seen["missing"] == ["clicks"]
    whole = ("--rate", "0.3", "--users-per-day", "5000", "--coverage", "50")
    planned = shell("experiment", "plan", "docs", *whole)
    assert planned.exit_code == 0
    assert (
        "5,000 new users a day (given by hand); 50 % of them take part: 2,500 a day"
        in planned.stdout.replace("\xa0", " ")
    )
    assert f"n_star={shell.json('experiment', 'plan', 'docs', *whole)['n_star']}" in planned.stdout


# --- from draft to end ----------------------------------------------------------------------------


def test_a_draft_is_started_widened_and_stopped(shell):
    draft = create(shell, "colours", "--draft", "--coverage", "10", "--split", "0.2")
    assert (draft["status"], draft["stages"]) == ("draft", [])
    assert shell("experiment", "report", "colours").exit_code == 2
    started = shell("experiment", "start", draft["id"], "--json")
    assert started.exit_code == 0
    assert "it is not evaluated until `rollouts up` is started" in started.stderr
    widened = shell.json("experiment", "widen", "colours", "--coverage", "25.5")
    assert [stage["coverage"] for stage in widened["stages"]] == [1000, 2550]
    stopped = shell("experiment", "stop", "colours", "--reason", "enough of it")
    assert stopped.exit_code == 0
    assert "- colours  stopped" in stopped.stdout
    assert "stopped: enough of it" in stopped.stdout
    assert shell.json("search", "docs", "python", "--user", "7")["variant"] == "live"
    again = shell("experiment", "stop", "colours")
    assert again.exit_code == 2
    assert "the experiment is stopped" in again.stderr


def test_two_lists_are_interleaved_where_that_was_asked_for(shell):
    made = create(shell, "lists", "--mode", "interleave")
    assert (made["mode"], [metric["name"] for metric in made["spec"]["metrics"]]) == (
        "interleave",
        ["clicks"],
    )
    shown = shell("experiment", "report", "lists")
    assert shown.exit_code == 0
    assert "PREFERRED" in shown.stdout
    assert "in one list" in shown.stdout


def test_a_running_process_finds_the_better_one_and_ships_it(shell):
    made = create(shell, "colours", "--metric", "clicks", "--on-ship", "switch", *options(*QUICK))
    treatment = made["arms"]["treatment"]
    clicked(shell, made["id"], 400, {"control": 3, "treatment": 9})
    with shell.start("up", "--port", "0") as up:
        seen = until(shell, lambda row: row["deployment_id"])
        ended = shell.json("status", seen["deployment_id"], "--watch")
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=30)
    assert (seen["status"], seen["last_decision"]) == ("decided", "SHIP")
    assert (ended["status"], ended["green"]) == ("live", treatment)
    assert shell.json("alias", "list")["aliases"]["docs"] == treatment
    shown = shell("experiment", "report", "colours").stdout
    assert "✔ ship: clicks of treatment is better" in shown
    assert f"shipped by deployment {seen['deployment_id']}" in shown


def until(shell, so, seconds=60):
    """The newest experiment, once it is so."""
    end = time.monotonic() + seconds
    while not so(row := shell.json("experiment", "list")["experiments"][0]):
        assert time.monotonic() < end, row
        time.sleep(0.5)
    return row


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nothing"], ["no experiment 'nothing'", "rollouts experiment list"]),
        (["start", "nothing"], ["no experiment 'nothing'"]),
        (["stop", "nothing"], ["no experiment 'nothing'"]),
        (["widen", "nothing", "--coverage", "50"], ["no experiment 'nothing'"]),
        (["start", "colours"], ["the experiment is running"]),
        (["widen", "colours", "--coverage", "70"], ["10000", "7000"]),
        (["widen", "colours", "--coverage", "70.001"], ["70.001"]),
        (["plan", "nowhere"], ["alias nowhere does not exist", "docs"]),
        (["plan", "docs", "--rate", "3"], ["rate of 3"]),
        (["plan", "docs", "--option", "alpha=2"], ["experiment: alpha: found 2"]),
        (["report", "colours", "--svg", "gone/x.svg"], ["gone/x.svg", "cannot be written"]),
    ],
)
def test_what_makes_no_sense_is_refused_in_words_and_changes_nothing(story, arguments, words):
    refused(story, ["experiment", *arguments], words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--control", "gone"], ["collection gone does not exist"]),
        (["--alias", "other"], ["alias other leads to", "not to the control"]),
        (["--split", "1.5"], ["split of 1.5"]),
        (["--coverage", "0.001"], ["0.001"]),
        (["--metric", "dwell,kind=median"], ["metrics.0: kind"]),
        (["--metric", "dwell,median"], ["--metric 'dwell,median'", "NAME,KEY=VALUE"]),
        (["--metric", "clicks", "--metric", "clicks"], ["each metric once"]),
        (["--option", "colour=red"], ["experiment: colour: unknown key"]),
        (["--option", "max_days"], ["--option 'max_days'", "KEY=VALUE"]),
        ([], ["experiment", "(colours) splits the searches of docs", "rollouts experiment stop"]),
    ],
)
def test_an_experiment_that_makes_no_sense_is_refused_before_anything_is_written(
    story, arguments, words
):
    arms = story.created["arms"]
    first = ["--control", arms["control"], "--treatment", arms["treatment"]]
    refused(story, ["experiment", "create", "more", *first, *arguments], words)


def refused(story, arguments, words):
    before = story.shell.facts()
    result = story.shell(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("refused: ")
    assert [word for word in words if word not in result.stderr] == []
    assert story.shell.facts() == before


def test_what_cannot_be_looked_at_is_not_judged(story):
    result = story.shell("experiment", "report", "colours", **AWAY)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "Qdrant at http://127.0.0.1:1" in result.stderr


def test_an_experiment_is_stopped_though_qdrant_is_away(shell):
    create(shell, "colours")
    assert shell("experiment", "stop", "colours", **AWAY).exit_code == 0
    assert shell.json("experiment", "list")["experiments"][0]["status"] == "stopped"

"""Simulates experiments and writes their tables into ``docs/understand/experiments-measured.md``:
``python -m docs.make_experiments`` (some minutes)."""

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from docs.courses import Course
from docs.courses import run as run_course
from docs.trials import LOOKS, METRICS, Trial, detectable, first_rejection, fixed_rejects, ramp
from qdrant_rollouts.core.statistics.balance import is_mismatched, srm_chi_square, srm_sequential
from qdrant_rollouts.core.statistics.comparison import Comparison
from qdrant_rollouts.core.statistics.decision import Action

PAGE = Path(__file__).with_name("understand") / "experiments-measured.md"
RUNS = 1000
COURSES = 200
#: Users of each arm in the fixed test's sample: look 16 of 28, so that the last look is at 1.75
#: times as many.
PLANNED = 1600
EVERY = 100

SCENARIOS: Mapping[str, Course] = {
    "both alike": Course(),
    "10 % more clicks": Course(clicks=0.10),
    "20 % more clicks": Course(clicks=0.20),
    "30 % more clicks": Course(clicks=0.30),
    "30 % more clicks, p95 10 % slower": Course(clicks=0.30, latency=0.10),
    "30 % more clicks, p95 30 % slower": Course(clicks=0.30, latency=0.30),
    "10 % fewer clicks": Course(clicks=-0.10),
    "20 % fewer clicks": Course(clicks=-0.20),
    "20 % more clicks, 10 % of the treatment's users lost": Course(clicks=0.20, share=0.9 / 1.9),
    "20 % more clicks, 30 % of the treatment's users lost": Course(clicks=0.20, share=0.7 / 1.7),
    "replacement, both alike, margins 10 %": Course(goal="replacement", margin=0.10),
    "replacement, 10 % fewer clicks, margins 10 %": Course(
        clicks=-0.10, goal="replacement", margin=0.10
    ),
}


def main(file: Path, runs: int, courses: int) -> None:
    """Writes the tables into ``file``: ``runs`` trials, and ``courses`` whole experiments, per
    row."""
    page = file.read_text(encoding="utf-8")
    tables = {
        "power": power(runs),
        "decisions": decisions(courses),
        "ratio": ratio(runs // 2),
        "ramp": ramps(runs),
    }
    for name, rows in tables.items():
        between = f"<!-- {name} -->\n" + "\n".join(rows) + f"\n<!-- end of {name} -->"
        page = re.sub(rf"<!-- {name} -->.*<!-- end of {name} -->", between, page, flags=re.DOTALL)
    file.write_text(page, encoding="utf-8")


def power(runs: int) -> Iterator[str]:
    yield (
        "| metric | effect, of the detectable one | t-test, one look at 100 % | t-test, 28 looks "
        "to 175 % "
        "| sequence, to 100 % | sequence, 28 looks to 175 % | sample used, mean |"
    )
    yield "|---|---|---|---|---|---|---|"
    looks = tuple(EVERY * look for look in range(1, LOOKS + 1))
    for metric in METRICS.values():
        one = detectable(metric, PLANNED)
        for times in (0.0, 0.5, 1.0, 1.5, 2.0):
            trials = [
                Trial(metric, looks[-1], looks, times * one).run(seed) for seed in range(runs)
            ]
            effect = f"{times:g} times: {times * one:+.1%}" if times else "none (A/A)"
            yield f"| {metric.name} | {effect} | {' | '.join(_figures(trials))} |"


def _figures(runs: Sequence[Sequence[Comparison]]) -> Iterator[str]:
    planned = PLANNED // EVERY
    stops = [first_rejection(looks) for looks in runs]
    yield _share([fixed_rejects(looks[planned - 1]) for looks in runs])
    yield _share([any(map(fixed_rejects, looks)) for looks in runs])
    yield _share([stop is not None and stop < planned for stop in stops])
    yield _share([stop is not None for stop in stops])
    shares = [(LOOKS if stop is None else stop + 1) / planned for stop in stops]
    yield f"{statistics.mean(shares):.0%}"


def decisions(courses: int) -> Iterator[str]:
    ends = (Action.SHIP, Action.ROLLBACK, Action.INVALID, Action.STOP_INCONCLUSIVE)
    yield f"| experiment | {' | '.join(ends)} | day, median |"
    yield "|---|---|---|---|---|---|"
    for words, course in SCENARIOS.items():
        runs = [run_course(course, seed) for seed in range(courses)]
        found = Counter(decision.action for decision, _ in runs)
        day = statistics.median(day for _, day in runs)
        yield f"| {words} | {' | '.join(str(found[end]) for end in ends)} | {day:g} |"


def ratio(runs: int) -> Iterator[str]:
    yield (
        "| treatment gets | chi-square, one look | chi-square, 200 looks | sequential, 200 looks |"
    )
    yield "|---|---|---|---|"
    for share in (0.5, 0.51, 0.515, 0.53):
        drawn = np.random.default_rng(7).binomial(100, share, (runs, 200))
        found = [list(_suspicions(treated)) for treated in drawn.cumsum(axis=1).tolist()]
        columns = (
            [fixed[-1] for fixed, _ in map(_split, found)],
            [any(fixed) for fixed, _ in map(_split, found)],
            [any(sequential) for _, sequential in map(_split, found)],
        )
        yield f"| {share:.1%} | {' | '.join(map(_share, columns))} |"


def _suspicions(treated: Sequence[int]) -> Iterator[tuple[bool, bool]]:
    """At each look: by the chi-square test at .001, and by the sequential one."""
    for look, count in enumerate(treated, 1):
        counts = (100 * look - count, count)
        even = (1, 1)
        chance = srm_chi_square(counts, even)
        assert chance is not None
        yield chance < 0.001, is_mismatched(srm_sequential(counts, even, 1000)[1], 100 * look)


def _split(found: Sequence[tuple[bool, bool]]) -> tuple[list[bool], list[bool]]:
    return [fixed for fixed, _ in found], [sequential for _, sequential in found]


def ramps(runs: int) -> Iterator[str]:
    yield "| analysis | t-test, one look | sequence, one look |"
    yield "|---|---|---|"
    trials = [ramp(seed) for seed in range(runs)]
    for words, place in (("stage by stage", 0), ("all stages as one", 1)):
        found = [looks[place] for looks in trials]
        fixed = map(fixed_rejects, found)
        sequence = [one.better or one.worse for one in found]
        yield f"| {words} | {_share(list(fixed))} | {_share(sequence)} |"


def _share(found: Sequence[bool]) -> str:
    return f"{sum(found) / len(found):.1%}"


if __name__ == "__main__":
    main(PAGE, RUNS, COURSES)

"""The situation of a run: for each status and kind it says what happens now, since when, until
when, and what a person must do."""

from itertools import product
from typing import Any

import pytest

from qdrant_rollouts.core.deployments.end_messages import (
    find_cause,
    say_failed,
    say_kept,
    say_rolled_back,
)
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views.overview.progress import describe_progress
from qdrant_rollouts.core.operations.views.overview.situation import describe_situation
from qdrant_rollouts.core.operations.views.overview.situation.parts import Since, Surroundings

BEGAN = "2026-11-30T01:00:00Z"
STEP = "2026-11-30T01:10:00Z"
SWITCHED = "2026-11-30T01:30:00Z"
ENDED = "2026-11-30T01:40:00Z"
NAMED = {"docs_5": "version 5", "docs_4": "version 4"}
STEPS = ("create", "populate", "validate", "catch_up", "switch", "soak")
CHECK = {
    "name": "min_top_score",
    "verdict": "inconclusive",
    "level": "hard",
    "detail": "figures",
    "found": "There are only 2 queries.",
    "means": "Nothing can be told.",
    "act": "Declare more queries.",
}

FOUND = "5 of 5 queries have no answer that scores 0.9 (min_top_score 0 against 0.9, n=5)"


def step(name: str, status: str = "pending", **more: Any) -> dict[str, Any]:
    begun = status != "pending"
    return {
        "name": name,
        "arguments": {},
        "status": status,
        "message": "",
        "started_at": STEP if begun else None,
        "finished_at": SWITCHED if status == "done" else None,
        "progress": None,
        **more,
    }


def plan(at: str, status: str = "running", **more: Any) -> list[dict[str, Any]]:
    """The steps of a deployment whose step ``at`` has this status."""
    place = STEPS.index(at)
    before = [step(name, "done") for name in STEPS[:place]]
    return [*before, step(at, status, **more), *map(step, STEPS[place + 1 :])]


def gate(verdict: str, **check: Any) -> dict[str, Any]:
    return {"verdict": verdict, "checks": [{**CHECK, "verdict": verdict, **check}]}


def situation(status: str, steps: Any = (), position: int | None = None, **more: Any) -> Any:
    """``more`` are keys of the deployment, or fields of its surroundings."""
    fields = {"paused_for", "paused_at", "eta", "live", "kept_until", "gone", "back"}
    told = {
        "id": "d-1",
        "alias": "docs",
        "kind": "rollout",
        "strategy": "blue_green",
        "status": status,
        "blue": "docs_4",
        "green": "docs_5",
        "message": "",
        "requested": None,
        "queue": None,
        "waits": None,
        "gate": None,
        "created_at": BEGAN,
        "finished_at": None,
        "steps": list(steps),
        **{key: value for key, value in more.items() if key not in fields},
    }
    around = {key: value for key, value in more.items() if key in fields}
    return describe_situation(
        told,  # type: ignore[arg-type]
        Surroundings(position=position, **{"live": "docs_4", "named": NAMED, **around}),
    )


def test_a_filling_says_how_far_and_how_fast_it_is_and_when_it_ends():
    progress = {"done": 1240, "size": 5000, "unit": "source", "records": 1240, "rate": 310.2}
    seen = situation(
        "running", plan("populate", progress=progress), 1, eta={"low": SWITCHED, "high": ENDED}
    )
    assert seen.now == "Filling version 5: 1,240 of 5,000 records, 310/s"
    assert seen.since == (Since("this step since", STEP), Since("the whole run since", BEGAN))
    assert (seen.until, seen.low, seen.high) == ("", SWITCHED, ENDED)
    assert (seen.needed, seen.person) == ("Nothing: it goes on by itself", False)


def test_a_run_of_which_nothing_is_known_says_so():
    eta = {"low": None, "high": None, "unknown": ["populate", "validate"]}
    seen = situation("running", plan("populate"), 1, eta=eta)
    assert seen.now == "Filling version 5"
    assert seen.until == "not known: this index has not had populate, validate before"


def test_a_stage_of_a_canary_says_whose_searches_go_where():
    share = {"percentage": 5.0, "shadow": False}
    progress = {"done": 6, "size": 200, "unit": "searches"}
    steps = [step("shift", "running", arguments=share, progress=progress)]
    assert situation("running", steps, 0).now == (
        "Sending 5 % of the searches to version 5: 6 of 200 searches answered"
    )
    steps[0]["arguments"] = {**share, "shadow": True}
    assert "copies of 5 % of the searches" in situation("running", steps, 0).now


def test_a_step_of_a_newer_release_is_named():
    steps = [step("warm_up", "running", message="3 of 4 caches")]
    assert situation("running", steps, 0).now == "Running warm_up: 3 of 4 caches"


def test_a_run_in_the_queue_begins_when_its_turn_comes():
    queue = {"place": 2, "of": 3, "since": STEP, "text": "place 2 of 3; waits for other"}
    seen = situation("pending", plan("create", "pending"), 0, queue=queue)
    assert seen.now == "It waits for its turn: place 2 of 3; waits for other"
    assert (seen.since, seen.until) == ((Since("it waits since", STEP),), "its turn comes")
    assert seen.needed == "Nothing: it begins by itself"


def test_a_turn_that_no_worker_takes_needs_somebody():
    waits = {"cause": "unlistened", "text": "no worker listens to bulk", "next": "start one"}
    seen = situation("running", plan("populate"), 1, waits=waits)
    assert seen.now == "Filling version 5. It makes no progress: no worker listens to bulk"
    assert (seen.needed, seen.link) == ("Look at the workers: start one", "/workers")
    assert (seen.tone, seen.person) == ("bad", True)
    busy = situation("running", plan("populate"), 1, waits={**waits, "cause": "busy"})
    assert (busy.tone, busy.person) == ("calm", False)


def test_a_gate_that_cannot_tell_asks_for_a_decision_and_says_why():
    why = "the gate cannot tell: There are only 2 queries (min_top_score unknown, n=2)"
    steps = plan("validate", "waiting", message=f"{why}. Next: Declare more queries.")
    seen = situation("paused", steps, 2, paused_for="approval", gate=gate("inconclusive"))
    assert seen.now == (
        "The gate cannot tell whether version 5 may serve. There are only 2 queries (min_top_score "
        "unknown, n=2). docs is served by version 4, as before"
    )
    assert seen.needed == "Decide: promote it to go on, retry to check again, or abort it"
    assert seen.advice == "Declare more queries."
    assert (seen.link, seen.see) == ("#gate-h", "the check min_top_score")
    assert seen.until == "a person promotes it, has the gate check again, or aborts it"
    assert seen.person


def test_a_soft_check_that_holds_is_named_like_a_hard_one_and_a_shown_one_is_not():
    why = "the gate cannot tell: There are only 2 queries (min_top_score unknown, n=2)"
    steps = plan("validate", "waiting", message=f"{why}. Next: Declare more queries.")
    held = gate("inconclusive", level="soft")
    held["checks"].insert(0, {**CHECK, "name": "overlap", "level": "shown"})
    seen = situation("paused", steps, 2, paused_for="approval", gate=held)
    assert "There are only 2 queries (min_top_score unknown, n=2)." in seen.now
    assert seen.see == "the check min_top_score"
    assert seen.advice == "Declare more queries."


def test_a_canary_without_evidence_asks_for_a_decision_although_its_gate_passed():
    steps = [step("shift", "waiting", message="5 %: too few searches", arguments={"percentage": 5})]
    seen = situation("paused", steps, 0, paused_for="approval", gate=gate("pass"))
    assert seen.now.startswith("Held at shift 5 %: 5 %: too few searches. docs is served by")
    assert seen.link == "#canary-h"
    assert seen.needed.startswith("Decide: promote")


def test_a_pause_lasts_until_a_person_ends_it():
    steps = plan("populate", "waiting")
    seen = situation("paused", steps, 1, paused_for="operator", message="paused by anna: lunch")
    assert seen.now == ("Paused at populate by anna: lunch. docs is served by version 4, as before")
    assert (seen.until, seen.needed) == ("a person resumes or aborts it", "Resume it, or abort it")
    seen = situation("paused", steps, 1, paused_for="operator", paused_at=ENDED)
    assert seen.since[0] == Since("paused since", ENDED)


def test_what_was_requested_is_not_asked_for_again():
    seen = situation("paused", plan("populate"), 1, paused_for="operator", requested="abort_keep")
    assert seen.needed.startswith("Nothing more: abort keep was requested")
    assert not seen.person


def test_a_way_back_says_its_cause_and_what_is_left():
    steps = plan("validate", "failed", message=FOUND)
    message = f"validate failed: {FOUND}. Next: Look."
    seen = situation("rolling_back", steps, 1, message=message, gate=gate("block"))
    assert seen.now == f"Going back, at populate, because validate failed: {FOUND}"
    assert seen.until == "what it began is undone; 3 steps are left"
    assert seen.needed == "Nothing: it goes back by itself"
    assert seen.link == "#gate-h"


def test_an_undo_that_gave_up_needs_a_person():
    steps = plan("populate", "failed", message="no room")
    seen = situation("needs_operator", steps, 0, message="undo of create gave up: no access")
    assert seen.now.endswith("by itself: undo of create gave up: no access")
    assert "then abort" in seen.needed
    assert seen.person


def test_a_failed_version_that_is_kept_is_looked_at_and_then_dropped():
    cause = f"validate failed: {FOUND}. Next: Declare more queries."
    message = say_kept(cause, "docs_5")
    steps = plan("validate", "failed", message=FOUND)
    seen = situation("needs_operator", steps, 2, message=message, gate=gate("block"))
    assert seen.now == (
        f"Validate failed: {FOUND}. "
        "Version 5 is kept for inspection. docs is served by version 4, as before"
    )
    assert seen.needed == "Look at version 5, then abort: that drops it"
    assert (seen.advice, seen.link) == ("Declare more queries.", "#gate-h")


def test_a_live_version_says_since_when_it_serves_and_how_to_go_back():
    steps = [step(name, "done") for name in STEPS]
    seen = situation(
        "live", steps, live="docs_5", finished_at=ENDED, kept_until="2026-11-30T02:40:00Z"
    )
    assert seen.now == "docs is served by version 5, which this deployment made live"
    assert seen.since[0] == Since("it serves since", SWITCHED)
    assert seen.back == "`rollouts rollback docs` brings back version 4, while it is kept"
    named = ("--to", "docs_4")
    again = situation("live", steps, live="docs_5", finished_at=ENDED, back=named)
    assert again.back.startswith("`rollouts rollback docs --to docs_4` brings back version 4")
    assert (seen.kept_until, seen.ended) == ("2026-11-30T02:40:00Z", ENDED)
    assert (seen.tone, seen.needed) == ("good", "Nothing")
    gone = situation("live", steps, live="docs_5", finished_at=ENDED, gone=True)
    assert gone.back == "Version 4 no longer exists"
    first = situation("live", steps, live="docs_5", finished_at=ENDED, blue=None)
    assert first.back == "There is no version before it"


def test_a_version_that_another_one_has_replaced_says_what_serves_now():
    steps = [step(name, "done") for name in STEPS]
    seen = situation("live", steps, live="docs_6", finished_at=ENDED)
    assert seen.now == "Version 5 went live, and no longer serves. docs is served by docs_6"
    assert seen.tone == "calm"
    back = situation("live", steps, live="docs_4", finished_at=ENDED)
    assert back.now.endswith("no longer serves. docs is served by version 4 again")


def test_a_rejected_version_says_the_check_and_what_to_do_in_its_first_lines():
    cause = say_failed("validate", f"{FOUND}. Next: Declare more queries.")
    message = say_rolled_back(cause, "docs is served by docs_4")
    steps = plan("validate", "failed", message=FOUND)
    seen = situation("rolled_back", steps, gate=gate("block"), message=message, finished_at=ENDED)
    assert seen.now == (
        f"It did not go live: validate failed: {FOUND}. docs is served by version 4, as before"
    )
    assert seen.advice == "Declare more queries."
    assert (seen.link, seen.ended) == ("#gate-h", ENDED)


def test_a_canary_that_was_worse_leads_to_what_it_saw():
    share = {"percentage": 5.0}
    steps = [step("shift", "failed", message="more errors than blue", arguments=share)]
    message = "shift failed: more errors than blue. Rolled back: docs is served by docs_4"
    seen = situation("rolled_back", steps, gate=gate("pass"), message=message, finished_at=ENDED)
    assert "shift failed: more errors than blue. docs is served by version 4" in seen.now
    assert seen.link == "#canary-h"


def test_an_aborted_run_needs_nobody():
    message = "aborted by anna: wrong source. Rolled back: docs is served by docs_4"
    seen = situation("rolled_back", plan("populate", "undone"), message=message)
    assert seen.now == (
        "It did not go live: it was aborted by anna: wrong source. "
        "docs is served by version 4, as before"
    )
    assert seen.needed == "Nothing"
    first = situation("rolled_back", (), message=message, live=None, blue=None)
    assert first.now.endswith("Nothing serves docs yet")


def test_a_plan_that_only_builds_says_how_its_version_can_serve():
    seen = situation("completed", [step("create", "done")], finished_at=ENDED)
    assert seen.now.startswith("Version 5 was built and tried; this plan moves no searches to it.")
    assert "`rollouts deploy --collection docs_5 docs`" in seen.needed


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("backup", "live", "The backup is complete: told"),
        ("verification", "live", "The backup can be restored: told"),
        ("backup", "rolled_back", "There is no backup: fetch failed: no room"),
        ("verification", "rolled_back", "The backup could not be verified: fetch failed: no room"),
    ],
)
def test_a_backup_ends_in_its_own_words(kind, status, words):
    state = "done" if status == "live" else "failed"
    steps = [step("fetch", state, message="no room")]
    message = "told" if status == "live" else "fetch failed: no room"
    seen = situation(status, steps, kind=kind, message=message, finished_at=ENDED)
    assert seen.now == words
    assert seen.link == "/backups"


def test_a_backup_under_way_counts_in_megabytes():
    progress = {"done": 1_500_000, "size": 6_000_000, "unit": "bytes", "rate": 500_000}
    seen = situation("running", [step("fetch", "running", progress=progress)], 0, kind="backup")
    assert seen.now == "Fetching the files of the snapshot: 1.5 of 6.0 MB, 0.5 MB/s"


@pytest.mark.parametrize(
    ("kind", "status"), list(product(("rollout", "backup", "verification"), Status))
)
@pytest.mark.parametrize("at", STEPS)
def test_every_status_of_every_kind_answers_all_four_questions(kind, status, at):
    seen = situation(
        status,
        plan(at),
        STEPS.index(at),
        kind=kind,
        message="told",
        finished_at=ENDED if status in ("live", "completed", "rolled_back") else None,
    )
    assert seen.now
    assert seen.since
    assert seen.until or seen.ended or seen.low
    assert seen.needed
    assert seen.tone in ("good", "calm", "warn", "bad")


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (None, ""),
        ({"done": 0, "size": 0, "unit": "points"}, ""),
        ({"done": 3, "size": 60, "unit": "looks"}, "3 of 60 looks"),
        ({"done": 3, "size": 12, "unit": "parts"}, "3 of 12 parts"),
        (
            {"done": 250, "size": 1000, "unit": "source", "records": 1240, "rate": 310.0},
            "1,240 records, 25\N{NO-BREAK SPACE}% of the source, 310/s",
        ),
    ],
)
def test_progress_is_told_in_what_is_counted(progress, words):
    assert describe_progress(progress) == words


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "validate failed: 3 are missing. Next: Look.",
            "validate failed: 3 are missing. Next: Look.",
        ),
        ("create failed: no room", "create failed: no room"),
        ("aborted by anna: lunch", "it was aborted by anna: lunch"),
        ("", "it was stopped"),
    ],
)
def test_why_a_version_is_not_live_is_the_same_sentence_whatever_became_of_it(message, said):
    assert str(find_cause(message)) == said
    assert str(find_cause(say_rolled_back(message, "docs is served by docs_4"))) == said
    if message:
        assert str(find_cause(say_kept(message, "docs_5"))) == said

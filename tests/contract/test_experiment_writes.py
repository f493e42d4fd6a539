"""What is written to the control of a running experiment reaches those treatments that are versions
of the same alias, and a winner that is deployed has every write."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database import treatments
from qdrant_rollouts.core.database.experiment_rows import Experiment, Treatment
from qdrant_rollouts.core.database.journal_rows import WriteStateRow
from qdrant_rollouts.core.database.models import EventRow, Version
from qdrant_rollouts.core.deployments.steps import comparing
from qdrant_rollouts.core.deployments.steps.followers import Follower, apply_changes
from qdrant_rollouts.core.errors import Interrupted, Refused, Unavailable
from qdrant_rollouts.core.experiments import commands, following, interim_analysis, queries
from qdrant_rollouts.core.lifecycle import ExperimentEvent
from qdrant_rollouts.core.ports import Embedder, FloatArray, Point, VectorStore
from tests.journaled import write_journaled
from tests.mortal import Killed, MakeWorld, Reaper
from tests.strategies import build_version
from tests.two_versions import (
    OTHER_SIZE,
    VECTOR,
    build_two_versions,
    change,
    content,
    declare_live,
    sides,
)
from tests.world import World, texts


def compare_sides(world: World, alias: str = "docs", **given: Any) -> str:
    """Begins an experiment over both versions; returns its id."""
    control, treatment = sides(world, alias)
    return commands.create_experiment(
        world.services, "which-model", control, [treatment], actor="anna", **given
    )


def sweep(world: World, seconds: float = treatments.PAUSE + 1) -> list[str]:
    """What the sweep and a worker do after some time; returns what they say."""
    world.clock.move(seconds)
    return [
        following.follow_control(world.services, id) for id in following.list_due(world.services)
    ]


def writes(world: World, experiment: str) -> dict[str, Any]:
    (found,) = queries.get_experiment(world.services, experiment)["writes"]
    return dict(found)


def warnings(world: World) -> list[str]:
    with world.services.sessions() as session:
        query = select(EventRow.detail).where(EventRow.event == "warning")
        return [one for one in session.scalars(query) if "does not get what is" in one]


# --- a version of the same alias ------------------------------------------------------------------


def test_a_treatment_gets_what_is_written_to_the_control_with_vectors_of_its_own_model(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    sweep(versions)
    change(versions, control)
    sweep(versions)
    assert content(versions, treatment) == content(versions, control)
    points = versions.store.fetch(treatment, [3, 5, 77], vectors=True)
    assert {len(point.vector) for point in points} == {OTHER_SIZE}
    found = writes(versions, experiment)
    assert (found["way"], found["rounds"]) == ("compare", 2)
    assert (found["made"], found["deleted"]) == (3, 1)
    assert found["round_ended_at"] is not None
    assert queries.report_experiment(versions.services, experiment)["writes"] == [found]


def test_an_index_to_which_nobody_writes_is_not_read_all_the_time(versions: World) -> None:
    compare_sides(versions)
    assert sweep(versions, 0)
    assert sweep(versions, treatments.PAUSE / 2) == []
    assert sweep(versions, treatments.PAUSE / 2 + 1)


def test_a_clock_that_is_set_back_stops_no_comparison(versions: World) -> None:
    experiment = compare_sides(versions)
    sweep(versions)
    sweep(versions, -7200)
    assert writes(versions, experiment)["rounds"] == 2


def test_following_ends_with_the_experiment(versions: World) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    sweep(versions)
    before = content(versions, treatment)
    commands.stop_experiment(versions.services, experiment, actor="anna")
    change(versions, control)
    assert sweep(versions) == []
    assert "no treatment" in following.follow_control(versions.services, experiment)
    assert content(versions, treatment) == before
    text = writes(versions, experiment)["text"]
    assert text.startswith("was kept like the control until the experiment ended; comparison 1:")


def test_a_draft_is_followed_when_it_is_started(versions: World) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions, start=False)
    found = writes(versions, experiment)
    assert (found["way"], found["text"]) == ("compare", "will be kept like the control")
    change(versions, control)
    assert sweep(versions) == []
    commands.start_experiment(versions.services, experiment, actor="anna")
    sweep(versions)
    assert content(versions, treatment) == content(versions, control)


def test_a_draft_that_is_stopped_says_that_it_never_ran(versions: World) -> None:
    experiment = compare_sides(versions, start=False)
    commands.stop_experiment(versions.services, experiment, actor="anna")
    found = writes(versions, experiment)
    assert found["way"] == "none"
    assert found["text"] == "was left as it was: the experiment never ran"


def forget_treatments(world: World) -> None:
    """As if an older release had begun the experiment."""
    with world.services.sessions.begin() as session:
        session.query(Treatment).delete()


def test_an_experiment_that_an_older_release_began_is_followed_too(versions: World) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    forget_treatments(versions)
    change(versions, control)
    found = writes(versions, experiment)
    assert (found["way"], found["why_not"]) == ("compare", "")
    assert found["text"] == "kept like the control; no comparison has ended yet"
    sweep(versions)
    assert content(versions, treatment) == content(versions, control)


def test_an_experiment_that_ended_under_an_older_release_says_that_nothing_was_followed(
    versions: World,
) -> None:
    experiment = compare_sides(versions)
    commands.stop_experiment(versions.services, experiment, actor="anna")
    forget_treatments(versions)
    found = writes(versions, experiment)
    assert found["way"] == "none"
    assert found["text"].startswith("was left as it was: the experiment ran under an older release")


# --- a slow model ---------------------------------------------------------------------------------


@dataclass
class SlowModel:
    """A model that needs ``seconds`` for a text, by a clock of its own. Every call of a number that
    ``fails_each`` divides is interrupted, as by the time limit of a worker."""

    made: Embedder
    seconds: float = 0.0
    fails_each: int = 1_000_000
    now: float = 0.0
    batches: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)

    def documents(self, wanted: Sequence[str]) -> FloatArray:
        self.batches.append(len(wanted))
        if len(self.batches) % self.fails_each == 0:
            raise Interrupted("the time limit was reached")
        self.now += self.seconds * len(wanted)
        return self.made.documents(wanted)


def slow_down(world: World, **given: Any) -> SlowModel:
    """From now on the vectors of docs are made slowly."""
    made = world.services.embedder(world.indexes["docs"].embedding)
    model = SlowModel(made, **given)
    world.change_services(embedder=lambda spec: model)
    return model


def write_many(world: World, collection: str) -> list[int]:
    """As an application, 300 new points; returns their ids."""
    ids = list(range(1000, 1300))
    points = [Point(id, VECTOR, {"id": id, "text": f"new {id}"}) for id in ids]
    world.store.upsert(collection, points)
    return ids


def open_treatment(world: World) -> Follower:
    return comparing.open_version(world.services, world.indexes["docs"], *sides(world))


@pytest.mark.parametrize(
    ("seconds", "first_batches"),
    [(0.0, [16, 32, 64, 128]), (0.2, [16, 32, 32, 32]), (1.0, [16, 8, 8, 8])],
)
def test_a_slow_model_gets_few_texts_at_once(
    versions: World, seconds: float, first_batches: list[int]
) -> None:
    control, treatment = sides(versions)
    ids = write_many(versions, control)
    model = slow_down(versions, seconds=seconds)
    follower = open_treatment(versions)
    written = apply_changes(versions.store, follower, ids, clock=lambda: model.now)
    assert (written.made, written.stopped_at) == (300, None)
    assert content(versions, treatment) == content(versions, control)
    assert model.batches[:4] == first_batches
    assert max(model.batches[3:-1], default=0) <= first_batches[3]


def test_a_page_that_a_slice_is_too_short_for_goes_on_where_it_was(versions: World) -> None:
    control, treatment = sides(versions)
    ids = write_many(versions, control)
    follower = open_treatment(versions)
    written = apply_changes(versions.store, follower, ids, goes_on=lambda: False)
    assert (written.made, written.stopped_at) == (16, ids[16])
    while written.stopped_at is not None:
        left = ids[ids.index(cast("int", written.stopped_at)) :]
        written = apply_changes(versions.store, follower, left, goes_on=lambda: False)
    assert content(versions, treatment) == content(versions, control)


def test_a_round_is_finished_in_slices_that_are_shorter_than_one_of_its_pages(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    write_many(versions, control)
    versions.change_services(times=replace(versions.services.times, turn_time=0.02))
    while not writes(versions, experiment)["rounds"]:
        sweep(versions)
    assert writes(versions, experiment)["made"] == 300
    assert content(versions, treatment) == content(versions, control)


def test_workers_that_are_interrupted_get_on_and_the_failure_is_shown_meanwhile(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    write_many(versions, control)
    slow_down(versions, fails_each=3)
    with pytest.raises(Interrupted):
        sweep(versions)
    assert writes(versions, experiment)["failure"] == "interrupted: Interrupted"
    while not writes(versions, experiment)["rounds"]:
        with suppress(Interrupted):
            sweep(versions)
    assert content(versions, treatment) == content(versions, control)
    assert writes(versions, experiment)["failure"] == ""
    assert warnings(versions) == []


def test_a_treatment_that_fails_in_an_unexpected_way_keeps_no_other_from_its_turn(
    versions: World,
) -> None:
    control, failing = sides(versions)
    other_model = {"model": "hashing:32", "text": "{text}"}
    declare_live(versions, embedding=other_model)
    other = build_version(versions, "docs")
    experiment = commands.create_experiment(
        versions.services, "three", control, [failing, other], actor="anna"
    )
    change(versions, control)

    def open_or_raise(spec: EmbeddingSpec) -> Embedder:
        if spec.model == other_model["model"]:
            return open_embedder(spec)
        raise ValueError("no such thing")

    versions.change_services(embedder=open_or_raise)
    for _ in range(4):
        with suppress(ValueError):
            sweep(versions)
    first, second = queries.get_experiment(versions.services, experiment)["writes"]
    assert first["failure"] == "unexpected ValueError: no such thing"
    assert second["rounds"] > 0
    assert content(versions, other) == content(versions, control)
    assert len(warnings(versions)) == 1


# --- who may write --------------------------------------------------------------------------------


def test_two_workers_do_not_write_to_a_treatment_at_once(versions: World) -> None:
    experiment = compare_sides(versions)
    with versions.services.sessions.begin() as session:
        now = versions.clock.now(session)
        assert treatments.claim_due(session, experiment, now, "another worker") is not None
    assert following.list_due(versions.services) == []
    assert "no treatment" in following.follow_control(versions.services, experiment)
    sweep(versions, treatments.LEASE + 1)
    assert writes(versions, experiment)["rounds"] == 1


class Ending:
    """A store that does something right after a point was read for the treatment."""

    def __init__(self, store: VectorStore, act: Callable[[], object]) -> None:
        self._store = store
        self._act = act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def fetch(self, *arguments: Any, **named: Any) -> Any:
        found = self._store.fetch(*arguments, **named)
        self._act()
        return found


def test_a_worker_writes_nothing_more_after_the_experiment_was_stopped(versions: World) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    before = content(versions, treatment)
    change(versions, control)

    def stop() -> None:
        with versions.services.sessions.begin() as session:
            session.execute(update(Experiment).values(status="stopped"))

    versions.over(cast("VectorStore", Ending(versions.store, stop)))
    assert "not followed by this worker" in following.follow_control(versions.services, experiment)
    assert content(versions, treatment) == before


# --- who is left alone ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"source": "jsonl:docs.jsonl"}, "the live collection is not the truth of docs"),
        ({"writes": "none"}, "the index says `writes: none`"),
    ],
)
def test_a_treatment_stays_as_it_is_where_the_live_collection_is_not_the_truth(
    versions: World, settings: dict[str, Any], why: str
) -> None:
    control, treatment = sides(versions)
    before = content(versions, treatment)
    declare_live(versions, **settings)
    experiment = compare_sides(versions)
    change(versions, control)
    sweep(versions)
    assert content(versions, treatment) == before
    found = writes(versions, experiment)
    assert found["way"] == "none"
    assert why in found["why_not"]


def test_the_collection_of_another_alias_is_never_written_to(versions: World) -> None:
    control, _ = sides(versions)
    versions.declare("other", source=versions.write("other.jsonl", texts(30)))
    versions.deploy("other")
    versions.run()
    other = versions.store.aliases()["other"]
    before = content(versions, other)
    experiment = commands.create_experiment(
        versions.services, "others", control, [other], actor="anna"
    )
    change(versions, control)
    sweep(versions)
    assert content(versions, other) == before
    assert writes(versions, experiment)["why_not"] == "alias other leads to it"


def test_a_collection_of_somebody_else_is_never_written_to(versions: World) -> None:
    control, _ = sides(versions)
    schema = versions.store.schema(control)
    versions.store.create("theirs", {**schema}, {})
    experiment = commands.create_experiment(
        versions.services, "theirs", control, ["theirs"], actor="anna"
    )
    sweep(versions)
    assert versions.store.count("theirs") == 0
    assert writes(versions, experiment)["why_not"] == "no deployment of docs has built it"


def test_a_treatment_to_which_an_alias_is_pointed_meanwhile_is_left_alone_and_that_is_said_once(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    sweep(versions)
    before = content(versions, treatment)
    versions.store.point_alias("preview", treatment)
    change(versions, control)
    sweep(versions)
    sweep(versions)
    assert content(versions, treatment) == before
    assert writes(versions, experiment)["why_not"] == "alias preview leads to it"
    assert len(warnings(versions)) == 1


# --- failures -------------------------------------------------------------------------------------


def test_a_control_that_lost_its_points_does_not_empty_the_treatment(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(400)))
    world.deploy("docs")
    world.run()
    declare_live(world)
    treatment = build_version(world, "docs")
    experiment = compare_sides(world)
    sweep(world)
    world.store.delete(world.store.aliases()["docs"], list(range(200)))
    sweep(world)
    sweep(world)
    assert world.store.count(treatment) == 400
    assert "points may be lost" in writes(world, experiment)["failure"]
    assert len(warnings(world)) == 1
    world.store.upsert(
        world.store.aliases()["docs"],
        [Point(id, VECTOR, {"id": id, "text": f"text {id}"}) for id in range(200)],
    )
    sweep(world)
    assert writes(world, experiment)["failure"] == ""


def open_another(spec: EmbeddingSpec) -> Embedder:
    """The same name stands for another model now."""
    return open_embedder(spec.model_copy(update={"model": f"hashing:{OTHER_SIZE + 1}"}))


def refuse_to_open(spec: EmbeddingSpec) -> Embedder:
    raise Refused(f"{spec.model} cannot be opened")


@pytest.mark.parametrize(
    ("embedder", "why"),
    [(open_another, "its model has changed"), (refuse_to_open, "cannot be opened")],
)
def test_a_model_that_does_not_make_its_vectors_any_more_makes_none(
    versions: World, embedder: Callable[[EmbeddingSpec], Embedder], why: str
) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    before = content(versions, treatment)
    change(versions, control)
    versions.change_services(embedder=embedder)
    sweep(versions)
    sweep(versions)
    assert content(versions, treatment) == before
    assert why in writes(versions, experiment)["failure"]
    assert len(warnings(versions)) == 1


class Silent:
    """A store that does not answer."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def scroll(self, *arguments: Any, **named: Any) -> Any:
        raise Unavailable("Qdrant does not answer")


def test_a_server_that_does_not_answer_for_a_while_is_no_event(versions: World) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    change(versions, control)
    store = versions.store
    versions.over(cast("VectorStore", Silent(store)))
    assert "does not answer" in sweep(versions)[0]
    versions.over(store)
    sweep(versions)
    assert content(versions, treatment) == content(versions, control)
    assert writes(versions, experiment)["failure"] == ""
    assert warnings(versions) == []


def test_a_server_that_does_not_answer_for_long_is_shown_at_once_and_told_once(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions)
    change(versions, control)
    store = versions.store
    versions.over(cast("VectorStore", Silent(store)))
    sweep(versions)
    assert "does not answer" in writes(versions, experiment)["failure"]
    assert warnings(versions) == []
    for _ in range(12):
        sweep(versions, 300)
    assert "does not answer" in writes(versions, experiment)["failure"]
    assert len(warnings(versions)) == 1
    versions.over(store)
    sweep(versions)
    assert content(versions, treatment) == content(versions, control)
    assert writes(versions, experiment)["failure"] == ""


def test_a_failure_that_does_not_pass_is_told_although_a_server_was_silent_before(
    versions: World,
) -> None:
    experiment = compare_sides(versions)
    store = versions.store
    versions.over(cast("VectorStore", Silent(store)))
    sweep(versions)
    versions.over(store)
    versions.change_services(embedder=refuse_to_open)
    sweep(versions)
    sweep(versions)
    assert "cannot be opened" in writes(versions, experiment)["failure"]
    assert len(warnings(versions)) == 1


def test_a_treatment_that_is_gone_is_said_once_and_the_experiment_goes_on(
    versions: World,
) -> None:
    _, treatment = sides(versions)
    experiment = compare_sides(versions)
    versions.store.drop(treatment)
    sweep(versions)
    sweep(versions)
    found = writes(versions, experiment)
    assert (found["way"], found["why_not"]) == ("none", "it does not exist")
    assert len(warnings(versions)) == 1
    assert queries.get_experiment(versions.services, experiment)["status"] == "running"


# --- the winner -----------------------------------------------------------------------------------


def test_a_winner_that_is_shipped_has_the_last_writes(versions: World) -> None:
    control, treatment = sides(versions)
    experiment = compare_sides(versions, options={"on_ship": "switch"})
    sweep(versions)
    change(versions, control)
    with versions.services.sessions.begin() as session:
        row = session.get_one(Experiment, experiment)
        row.decision = {"action": "SHIP", "variant": "treatment", "reason": "it is better"}
        event = ExperimentEvent.DECIDE
        commands.end_experiment(versions.services, session, row, event, "SHIP", "system")
    interim_analysis.check_due_experiments(versions.services)
    versions.run()
    shipped = queries.get_experiment(versions.services, experiment)["deployment_id"]
    assert shipped is not None
    assert versions.status(shipped)["status"] == "live", versions.status(shipped)["message"]
    assert versions.store.aliases()["docs"] == treatment
    assert content(versions, treatment) == content(versions, control)


def test_a_winner_is_not_caught_up_while_a_worker_may_still_write_to_it(versions: World) -> None:
    _, treatment = sides(versions)
    experiment = compare_sides(versions)
    with versions.services.sessions.begin() as session:
        now = versions.clock.now(session)
        treatments.claim_due(session, experiment, now, "a worker that dies")
    commands.stop_experiment(versions.services, experiment, actor="anna")
    deployment = versions.deploy("docs", collection=treatment)
    versions.run(until=versions.at(deployment, "catch_up"))
    began = versions.clock.moment
    versions.run(turns=400)
    assert versions.status(deployment)["status"] == "live"
    assert (versions.clock.moment - began).total_seconds() >= treatments.LEASE / 2


def deploy_with_journal(world: World) -> tuple[str, str]:
    """Returns the version that serves now, and the older one that the journal follows."""
    declare_live(world, writes="journal")
    world.deploy("docs", source="live")
    world.run()
    with world.services.sessions() as session:
        older = session.get_one(WriteStateRow, "docs").follower
    assert older is not None
    return world.store.aliases()["docs"], older


def test_a_version_that_only_the_journal_follows_is_not_said_to_be_left_alone(
    versions: World,
) -> None:
    live, older = deploy_with_journal(versions)
    with versions.services.sessions.begin() as session:
        session.query(Version).filter_by(collection=older).delete()
    experiment = commands.create_experiment(versions.services, "back", live, [older], actor="anna")
    for _ in range(2):
        found = writes(versions, experiment)
        assert (found["way"], found["why_not"]) == ("journal", "")
        assert found["text"] == "kept like the control by the journal"
        assert "followed by the journal" in sweep(versions)[0]
    assert warnings(versions) == []
    commands.stop_experiment(versions.services, experiment, actor="anna")
    assert writes(versions, experiment)["text"].startswith("was kept like the control until")


def test_the_older_version_that_the_journal_follows_is_a_treatment_and_can_win(
    versions: World,
) -> None:
    live, older = deploy_with_journal(versions)
    experiment = commands.create_experiment(versions.services, "back", live, [older], actor="anna")
    sweep(versions)
    found = writes(versions, experiment)
    assert (found["way"], found["rounds"]) == ("journal", 0)
    commands.stop_experiment(versions.services, experiment, actor="anna")
    deployment = versions.deploy("docs", collection=older)
    versions.run(until=versions.at(deployment, "switch"))
    write_journaled(versions, "docs", [{"id": 3, "text": "changed"}], gone=[9])
    truth = content(versions, live)
    versions.run()
    assert versions.status(deployment)["status"] == "live"
    assert content(versions, older) == truth
    assert "writes waited for" in versions.step(deployment, "switch")["message"]


# --- killed ---------------------------------------------------------------------------------------


@pytest.mark.proof
def test_wherever_the_worker_is_killed_the_treatment_ends_like_the_control(
    make: MakeWorld, effort: Callable[[int, int], int]
) -> None:
    counting = Reaper()
    _follow_once(make(counting), counting, "count")
    few = effort(12, 100_000)
    for victim in range(1, counting.places + 1, max(1, counting.places // few)):
        reaper = Reaper()
        reaper.victim = victim
        world = make(reaper)
        alias = f"docs{victim}"
        _follow_once(world, reaper, alias)
        assert reaper.places >= victim, "nobody was killed"
        control, treatment = sides(world, alias)
        assert content(world, treatment) == content(world, control)


def _follow_once(world: World, reaper: Reaper, alias: str) -> None:
    build_two_versions(world, alias)
    control, _ = sides(world, alias)
    experiment = compare_sides(world, alias)
    change(world, control)
    while not writes(world, experiment)["rounds"]:
        reaper.armed = True
        try:
            following.follow_control(world.services, experiment)
        except Killed:
            world.clock.move(treatments.LEASE + 1)
        reaper.armed = False
    commands.stop_experiment(world.services, experiment, actor="anna")

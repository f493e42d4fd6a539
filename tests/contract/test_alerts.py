"""Alerts are stored with the change and sent to each channel: once if nothing dies, under one id if
something does."""

import json

import pytest

from qdrant_rollouts.adapters.alerts import open_channels
from qdrant_rollouts.adapters.alerts.webhook import sign_body
from qdrant_rollouts.core.alerts import deliveries, outbox, sent_alerts
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.config.alert_spec import AlertsSpec
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import AlertChannel
from qdrant_rollouts.core.ports.messages import Severity
from tests.mortal import Killed
from tests.receivers import http_receiver
from tests.world import World, texts

KEY = "a key of the test"


class Inbox:
    """A channel that keeps what it is sent, or fails."""

    def __init__(self, least=Severity.INFO):
        self.taken = []
        self.error = None
        self.channel = AlertChannel("inbox", least, self.take)

    def take(self, notice):
        if self.error:
            raise self.error
        self.taken.append(notice)


@pytest.fixture
def inbox(world: World) -> Inbox:
    made = Inbox()
    world.channels["inbox"] = made.channel
    return made


@pytest.fixture
def docs(world: World) -> str:
    world.declare("docs", source=world.write("docs.jsonl", texts(40)))
    return "docs"


def say(world: World, what="deployment.completed", text="it happened", alias="docs"):
    with world.services.sessions.begin() as session:
        outbox.record_alert(session, world.clock.moment, Alert(alias, what, text))


def end(world: World, what="deployment.paused", alias="docs"):
    with world.services.sessions.begin() as session:
        outbox.resolve_alerts(session, world.clock.moment, alias, [what], "over now")


def deliver(world: World, seconds: float = 0.0) -> list[str]:
    world.clock.move(seconds)
    return deliveries.deliver_due(world.services)


def what(notices):
    return [notice.what for notice in notices]


# --- what is told ---------------------------------------------------------------------------------


def test_a_deployment_tells_of_its_beginning_and_its_end_and_its_steps_are_events(world, docs):
    deployment = world.deploy(docs)
    world.run()
    told = [notice for notice in world.told() if notice.deployment_id == deployment]
    assert what(told) == ["deployment.created", "deployment.completed"]
    assert told[0].actor == "anna"
    shown = world.status(deployment)
    events = [one["event"] for one in shown["events"] if one["event"].endswith(".done")]
    assert events == [f"{step['name']}.done" for step in shown["steps"]]


def test_a_change_that_did_not_happen_is_not_told(world):
    with world.services.sessions() as session:
        outbox.record_alert(
            session, world.clock.moment, Alert("docs", "deployment.completed", "no")
        )
        session.flush()
        session.rollback()
    assert world.told() == []


def test_a_gate_that_blocks_says_value_and_bound(world, docs):
    world.deploy(docs)
    world.run()
    world.write("docs.jsonl", texts(40, about="something else"))
    wanted = {"min_top_score": 0.999, "queries": ["asyncio"]}
    world.deploy(docs, options={"validation": wanted})
    world.run()
    (failed,) = [notice for notice in world.told() if notice.what == "deployment.failed"]
    assert failed.severity == "warn"
    assert failed.value
    assert float(failed.bound) == 0.999
    assert what(world.told())[-1] == "deployment.rolled_back"


def test_a_pause_lasts_until_it_is_resumed(world, docs, inbox):
    deployment = world.deploy(docs)
    commands.request_action(world.services, deployment, Event.PAUSE, actor="anna", reason="lunch")
    world.run()
    commands.request_action(world.services, deployment, Event.RESUME, actor="bert")
    world.run()
    begun, over = [notice for notice in world.told() if notice.what == "deployment.paused"]
    assert (begun.state, begun.actor, begun.reason) == ("begun", "anna", "lunch")
    assert (over.state, over.actor) == ("resolved", "bert")
    assert f"rollouts resume {deployment}" in begun.next


def test_what_lasts_is_said_once_and_again_after_four_hours(world, inbox):
    for _ in range(3):
        say(world, "deployment.paused")
    deliver(world)
    assert [notice.state for notice in inbox.taken] == ["begun"]
    deliver(world, 3 * 3600)
    assert len(inbox.taken) == 1
    deliver(world, 3700)
    deliver(world)
    assert [notice.state for notice in inbox.taken] == ["begun", "lasting"]
    end(world)
    end(world)
    deliver(world, 5 * 3600)
    assert [notice.state for notice in inbox.taken] == ["begun", "lasting", "resolved"]
    assert {notice.since for notice in inbox.taken} == {inbox.taken[0].at}
    assert len({notice.id for notice in inbox.taken}) == 3


class Away:
    """A store that takes no points while it is away."""

    def __init__(self, store):
        self.store = store
        self.away = True

    def __getattr__(self, name):
        if name == "upsert" and self.away:
            raise Unavailable("qdrant did not answer")
        return getattr(self.store, name)


def test_the_same_cause_is_said_once_with_its_count_and_another_one_at_once(world, inbox):
    for cause in ("twins", "twins", "zero_result"):
        with world.services.sessions.begin() as session:
            alert = Alert(
                "docs", "deployment.inconclusive", f"the gate cannot tell: {cause}", cause=cause
            )
            outbox.record_alert(session, world.clock.moment, alert)
        world.clock.move(60)
        deliver(world)
        if cause == "twins":
            assert len(inbox.taken) == 1
    deliver(world, 3 * 3600)
    assert [(notice.state, notice.text) for notice in inbox.taken] == [
        ("begun", "the gate cannot tell: twins"),
        ("begun", "the gate cannot tell: zero_result"),
    ]


def test_a_lasting_cause_repeats_with_its_count(world, inbox):
    for _ in range(3):
        with world.services.sessions.begin() as session:
            alert = Alert("docs", "deployment.inconclusive", "the gate cannot tell", cause="twins")
            outbox.record_alert(session, world.clock.moment, alert)
        deliver(world, 60)
    deliver(world, 4 * 3600)
    assert [notice.text for notice in inbox.taken] == [
        "the gate cannot tell",
        "the gate cannot tell (3 times in a row since 2026-11-02 02:00 UTC)",
    ]


def test_a_deadline_that_comes_near_is_told_and_that_it_was_kept(world, docs):
    deployment = world.deploy(docs, options={"progress_deadline_seconds": 60})
    store = Away(world.store)
    world.over(store)
    world.run(until=lambda: "deployment.deadline_near" in what(world.told()))
    store.away = False
    world.run()
    begun, over = [notice for notice in world.told() if notice.what == "deployment.deadline_near"]
    assert (begun.state, over.state) == ("begun", "resolved")
    assert 20 <= float(begun.value.split()[0]) <= 60  # by then the next wait may be the last
    assert begun.bound.startswith("60 s")
    assert world.status(deployment)["status"] == "live"


def test_two_indexes_are_two_conditions(world, inbox):
    say(world, "deployment.paused")
    say(world, "deployment.paused", alias="other")
    end(world)
    deliver(world)
    assert [(notice.index, notice.state) for notice in inbox.taken] == [
        ("docs", "begun"),
        ("other", "begun"),
        ("docs", "resolved"),
    ]


def test_a_deletion_is_told_when_it_is_planned_and_when_it_is_done(world, docs):
    world.deploy(docs)
    world.run()
    world.deploy(docs)
    world.run()
    for _ in range(300):
        world.clock.move(15)
        deletions.delete_due(world.services)
    told = what(world.told())
    assert told.index("deletion.scheduled") < told.index("deletion.deleted")


# --- where it goes --------------------------------------------------------------------------------


def test_a_channel_gets_what_is_bad_enough_for_it_and_all_of_it_once(world, inbox):
    errors = Inbox(Severity.ERROR)
    world.channels["errors"] = errors.channel
    say(world)
    say(world, "deployment.needs_operator")
    for _ in range(3):
        deliver(world, 1)
    assert what(inbox.taken) == ["deployment.completed", "deployment.needs_operator"]
    assert what(errors.taken) == ["deployment.needs_operator"]


@pytest.mark.parametrize("error", [Unavailable("pager did not answer"), ZeroDivisionError("a bug")])
def test_a_dead_channel_holds_up_no_other_and_its_failures_are_shown(world, inbox, error):
    dead = Inbox()
    dead.error = error
    world.channels["dead"] = dead.channel
    say(world)
    say(world, "deployment.failed")
    deliver(world)
    assert len(inbox.taken) == 2
    (shown,) = [
        one
        for one in sent_alerts.list_alerts(world.services, 20)[1]["deliveries"]
        if one["channel"] == "dead"
    ]
    assert (shown["status"], shown["tries"]) == ("waiting", 1)
    assert str(error) in shown["error"]


def test_a_channel_that_fails_is_tried_again_ever_later_and_told_everything_in_order(world, inbox):
    inbox.error = Unavailable("away")
    say(world, "deployment.paused")
    end(world)
    tries = 0
    for _ in range(60):
        tries += len(deliver(world, 10))
    assert 4 <= tries <= 12
    inbox.error = None
    for _ in range(200):
        deliver(world, 10)
    assert [notice.state for notice in inbox.taken] == ["begun", "resolved"]


def test_what_cannot_be_told_for_days_is_given_up_and_stays_in_the_list(world, inbox):
    inbox.error = Refused("no")
    say(world)
    for _ in range(5):
        deliver(world, 86_400)
    (seen,) = sent_alerts.list_alerts(world.services, 20)
    assert seen["deliveries"][0]["status"] == "given_up"
    inbox.error = None
    assert deliver(world, 86_400) == []


def test_an_index_file_that_cannot_be_read_loses_nothing(world, inbox):
    def broken():
        raise Refused("rollouts.yaml: cannot be read")

    say(world)
    world.change_services(alerts=broken)
    with pytest.raises(Refused):
        deliver(world)
    world.change_services(alerts=lambda: world.channels)
    deliver(world)
    assert len(inbox.taken) == 1


def test_the_test_says_what_is_wrong_with_each_channel(world, inbox):
    dead = Inbox()
    dead.error = Unavailable("pager did not answer")
    world.channels["dead"] = dead.channel
    assert deliveries.try_channels(world.services, None, actor="anna") == {
        "inbox": "",
        "dead": "pager did not answer",
    }
    assert what(inbox.taken) == ["alert.test"]
    with pytest.raises(
        Refused, match="channel pager is not declared in the index file; declared: dead, inbox"
    ):
        deliveries.try_channels(world.services, "pager", actor="anna")


# --- kills ----------------------------------------------------------------------------------------


def webhook(port):
    settings = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/", "secret": "HOOK_KEY"}
    return open_channels(AlertsSpec.model_validate({"channels": {"hook": settings}}))["hook"]


def checked(taken):
    """The ids in the order they came, each message's signature looked at first."""
    for headers, body in taken:
        assert headers["webhook-signature"] == sign_body(
            KEY, headers["webhook-id"], headers["webhook-timestamp"], body
        )
        assert json.loads(body)["id"] == headers["webhook-id"]
    return [headers["webhook-id"] for headers, _ in taken]


def test_where_nothing_dies_each_change_arrives_once(world, monkeypatch):
    monkeypatch.setenv("HOOK_KEY", KEY)
    with http_receiver() as receiver:
        world.channels["hook"] = webhook(receiver.port)
        for number in range(30):
            say(world, text=f"change {number}")
            deliver(world, 1)
        assert checked(receiver.taken) == [notice.id for notice in world.told()]


@pytest.mark.parametrize("sent", [False, True], ids=["before it is sent", "before it is marked"])
def test_twenty_workers_killed_between_claim_and_mark_lose_nothing(world, monkeypatch, sent):
    monkeypatch.setenv("HOOK_KEY", KEY)
    with http_receiver() as receiver:
        real = webhook(receiver.port)
        killed = []

        def send(notice):
            if len(killed) < 20 and notice.id not in killed[-1:]:
                killed.append(notice.id)
                if sent:
                    real.send(notice)
                raise Killed
            real.send(notice)

        world.channels["hook"] = AlertChannel("webhook", Severity.INFO, send)
        for number in range(25):
            say(world, text=f"change {number}")
        for _ in range(100):
            try:
                deliver(world, 61)
            except Killed:
                continue
        ids = checked(receiver.taken)
        assert len(killed) == 20
        assert sorted(set(ids)) == sorted(notice.id for notice in world.told())
        assert {id: ids.count(id) for id in set(ids)} == {
            notice.id: 2 if sent and notice.id in killed else 1 for notice in world.told()
        }


def test_who_comes_back_late_marks_nothing(world, inbox):
    """The first sender is stopped while it sends; a second takes over when the lease has run out,
    and fails."""
    say(world)
    failing = AlertChannel(
        "inbox", Severity.INFO, lambda notice: (_ for _ in ()).throw(Unavailable("away"))
    )

    def slow(notice):
        world.channels["inbox"] = failing
        deliver(world, 61)

    world.channels["inbox"] = AlertChannel("inbox", Severity.INFO, slow)
    deliver(world)
    (seen,) = sent_alerts.list_alerts(world.services, 20)
    assert (seen["deliveries"][0]["status"], seen["deliveries"][0]["tries"]) == ("waiting", 2)

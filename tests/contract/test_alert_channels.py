"""One suite for every channel of ``CHANNELS``, each against a server on loopback."""

import json
import logging
import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qdrant_rollouts.adapters.alerts import CHANNELS, open_channels
from qdrant_rollouts.adapters.alerts.webhook import sign_body
from qdrant_rollouts.core.config.alert_spec import AlertsSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.times import as_iso
from tests.receivers import Receiver, http_receiver, smtp_receiver, told

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SINCE = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
NOTICE = Notice(
    id="a1b2c3d4",
    index="documentation",
    what="deployment.needs_operator",
    severity=Severity.ERROR,
    state="begun",
    at=SINCE,
    since=SINCE,
    text="undo of create gave up: drop is forbidden: «größer»",
    value="recall 0.81",
    bound="0.95",
    actor="anna@cli",
    reason="drop is forbidden",
    next="mend that, then rollouts abort 12ab",
    deployment_id="12ab",
)


class _Lines(logging.Handler):
    """What the log is told, taken as a server would."""

    def __init__(self, receiver):
        super().__init__()
        self.receiver = receiver

    def emit(self, record):
        said = record.getMessage()
        body = json.dumps(
            {"id": said.rsplit("[", 1)[1].strip("]"), "all": said}, ensure_ascii=False
        )
        self.receiver.taken.append(({"severity": record.levelname}, body.encode()))


@contextmanager
def log_receiver():
    receiver = Receiver()
    logger = logging.getLogger("rollouts.alerts")
    handler = _Lines(receiver)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield receiver
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


SERVERS = {
    "log": (log_receiver, lambda port: {}),
    "webhook": (
        http_receiver,
        lambda port: {"url": f"http://127.0.0.1:{port}/hook", "secret": "HOOK_KEY"},
    ),
    "alertmanager": (
        http_receiver,
        lambda port: {"url": f"http://127.0.0.1:{port}", "secret": "HOOK_KEY"},
    ),
    "email": (
        smtp_receiver,
        lambda port: {
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "sender": "rollouts@example.org",
            "to": ["oncall@example.org", "second@example.org"],
        },
    ),
    "apprise": (http_receiver, lambda port: {"secret": f"APPRISE_URL_{port}"}),
}
#: Channels whose URL is a secret: it stands in the environment, and they say its variable instead
#: of the host.
BY_URL = {"apprise": "json://127.0.0.1:{port}/{token}"}
TOKEN = "t0k3n-0f-a-s3rvice"
#: What a server says that says no; apprise does not tell it from one that fails.
NO = {"apprise": Unavailable}
OUTSIDE = sorted(set(CHANNELS) - {"log"})


def channel(kind, port):
    if kind in BY_URL:
        os.environ[f"APPRISE_URL_{port}"] = BY_URL[kind].format(port=port, token=TOKEN)
    settings = {"kind": kind, **SERVERS[kind][1](port)}
    return open_channels(AlertsSpec.model_validate({"channels": {"one": settings}}))["one"]


def named(kind):
    """How a channel calls who did not take it."""
    return r"APPRISE_URL_\d+ \(json://\)" if kind in BY_URL else r"127\.0\.0\.1"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("HOOK_KEY", KEY)
    yield
    for name in [name for name in os.environ if name.startswith("APPRISE_URL_")]:
        del os.environ[name]


def test_every_channel_has_its_server_here():
    assert set(SERVERS) == set(CHANNELS)


@pytest.mark.parametrize("kind", sorted(CHANNELS))
def test_what_arrives_says_everything(kind):
    with SERVERS[kind][0]() as receiver:
        channel(kind, receiver.port).send(NOTICE)
    ((_, body),) = receiver.taken
    read = told(kind, body)
    assert read["id"] == NOTICE.id
    for word in (
        "documentation",
        "needs_operator",
        NOTICE.text,
        "recall 0.81",
        "0.95",
        "anna@cli",
        NOTICE.next,
    ):
        assert word in read["all"]


@pytest.mark.parametrize("kind", sorted(CHANNELS))
def test_what_is_over_says_so_under_an_id_of_its_own(kind):
    over = replace(NOTICE, id="e5f6", state="resolved", at=SINCE + timedelta(hours=1))
    with SERVERS[kind][0]() as receiver:
        channel(kind, receiver.port).send(over)
    ((_, body),) = receiver.taken
    assert told(kind, body)["id"] == "e5f6"
    assert "resolved" in told(kind, body)["all"]


@pytest.mark.parametrize("kind", sorted(CHANNELS))
def test_a_repeat_is_the_same_message(kind):
    with SERVERS[kind][0]() as receiver:
        for _ in range(2):
            channel(kind, receiver.port).send(NOTICE)
    first, second = (body for _, body in receiver.taken)
    assert first == second


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_server_that_fails_is_unavailable_and_one_that_says_no_refuses(kind):
    with SERVERS[kind][0]() as receiver:
        one = channel(kind, receiver.port)
        receiver.status = 503
        with pytest.raises(Unavailable, match=named(kind)):
            one.send(NOTICE)
        receiver.status = 403
        with pytest.raises(NO.get(kind, Refused), match=named(kind)):
            one.send(NOTICE)
    assert receiver.taken == []


@pytest.mark.parametrize("kind", OUTSIDE)
def test_nobody_there_is_unavailable(kind):
    with SERVERS[kind][0]() as receiver:
        one = channel(kind, receiver.port)
    with pytest.raises(Unavailable, match=named(kind)):
        one.send(NOTICE)


@pytest.mark.parametrize("kind", ["webhook", "alertmanager"])
def test_a_secret_that_is_not_there_is_named(kind, monkeypatch):
    monkeypatch.delenv("HOOK_KEY")
    with pytest.raises(Refused, match="the environment variable HOOK_KEY is not set"):
        channel(kind, 1).send(NOTICE)


@pytest.mark.parametrize("kind", ["webhook", "alertmanager", "apprise"])
def test_a_redirect_is_not_followed(kind):
    with http_receiver() as receiver:
        receiver.status = 307
        with pytest.raises(NO.get(kind, Refused), match="answered 307"):
            channel(kind, receiver.port).send(NOTICE)
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///tmp/x", "holds a URL of file; expected one of discord"),
        ("dbus://", "holds a URL of dbus"),
        ("syslog://", "holds a URL of syslog"),
        ("mailto://anna:s3cret@example.org", "holds a URL of mailto"),
        ("s3cret token", "holds a URL of something else"),
        ("json://127.0.0.1/s3cret?redirect=yes", "with redirect=, which is not allowed"),
        ("jsons://127.0.0.1/s3cret?Verify=no", "with verify=, which is not allowed"),
        ("slack://s3cret/?template=/etc/passwd", "with template=, which is not allowed"),
        ("slack://s3cret", "holds no URL that apprise takes for slack://"),
    ],
)
def test_a_service_that_is_not_spoken_to_over_http_or_asks_for_more_is_refused(
    monkeypatch, url, said
):
    monkeypatch.setenv("SERVICE", url)
    spec = AlertsSpec.model_validate(
        {"channels": {"one": {"kind": "apprise", "secret": "SERVICE"}}}
    )
    with pytest.raises(Refused, match=said) as refused:
        open_channels(spec)["one"].send(NOTICE)
    assert "s3cret" not in str(refused.value)


def test_the_token_of_a_service_is_in_no_error_and_in_no_log_of_a_worker(caplog):
    with http_receiver() as receiver, caplog.at_level(logging.INFO):
        receiver.status = 403
        with pytest.raises(Unavailable) as failed:
            channel("apprise", receiver.port).send(NOTICE)
    assert "answered 403" in str(failed.value)
    assert TOKEN not in str(failed.value) + caplog.text


def test_without_the_extra_a_channel_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Refused, match=r"pip install 'qdrant-rollouts\[apprise\]'"):
        channel("apprise", 1).send(NOTICE)


def test_the_signature_is_that_of_the_scheme():
    """The example of the Standard Webhooks specification's reference libraries."""
    found = sign_body(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_receiver_can_check_the_signature():
    with http_receiver() as receiver:
        channel("webhook", receiver.port).send(NOTICE)
    ((headers, body),) = receiver.taken
    assert headers["webhook-signature"] == sign_body(
        KEY, headers["webhook-id"], headers["webhook-timestamp"], body
    )
    assert headers["webhook-id"] == NOTICE.id
    assert headers["webhook-signature"] != sign_body(
        KEY, NOTICE.id, headers["webhook-timestamp"], body + b" "
    )


def test_alertmanager_is_told_when_it_began_and_when_it_ended():
    over = replace(NOTICE, state="resolved", at=SINCE + timedelta(hours=1))
    with http_receiver() as receiver:
        for notice in (NOTICE, over):
            channel("alertmanager", receiver.port).send(notice)
    (headers, first), (_, last) = receiver.taken
    (begun,), (ended,) = json.loads(first), json.loads(last)
    assert headers["path"] == "/api/v2/alerts"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert begun["labels"] == ended["labels"]
    assert begun["startsAt"] == ended["startsAt"] == as_iso(SINCE)
    assert datetime.fromisoformat(begun["endsAt"]) > SINCE + timedelta(hours=4)
    assert datetime.fromisoformat(ended["endsAt"]) == over.at

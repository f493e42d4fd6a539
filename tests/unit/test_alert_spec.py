"""The ``alerts`` section: a channel that cannot work is refused with its path, the value and what
was expected."""

import pytest

from qdrant_rollouts.core.config.index_file import IndexFile, validate_as
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports.messages import Severity

HOOK = {"kind": "webhook", "url": "https://hooks.example.org/x", "secret": "KEY"}
MAIL = {"kind": "email", "host": "mail", "sender": "a@example.org", "to": ["b@example.org"]}
SERVICE = {"kind": "apprise", "secret": "SLACK_URL"}


def read(channel):
    return validate_as(
        IndexFile, {"alerts": {"channels": {"one": channel}}}, "rollouts.yaml"
    ).alerts.channels["one"]


def test_without_a_section_alerts_are_log_lines():
    assert [channel.kind for channel in IndexFile().alerts.channels.values()] == ["log"]


@pytest.mark.parametrize(
    "channel",
    [{"kind": "log"}, HOOK, {"kind": "alertmanager", "url": "http://am:9093"}, MAIL, SERVICE],
)
def test_a_good_channel_is_taken(channel):
    assert read(channel).kind == channel["kind"]


@pytest.mark.parametrize(
    ("channel", "path", "said"),
    [
        ({**HOOK, "url": ""}, "url", "found ''; expected http://HOST"),
        ({**HOOK, "url": "hooks.example.org"}, "url", "expected http://HOST"),
        ({**HOOK, "url": "https://hooks..example"}, "url", "its host is not a valid name"),
        ({**MAIL, "host": f"{'a' * 64}.example"}, "host", "its host is not a valid name"),
        ({**HOOK, "url": "https://anna:secret@hooks"}, "url", "expected http://HOST"),
        ({"kind": "webhook", "url": HOOK["url"]}, "secret", "missing"),
        (
            {**HOOK, "secret": "s3cr3t-value!"},
            "secret",
            "expected the name of an environment variable",
        ),
        ({**HOOK, "sevrity": "warn"}, "sevrity", "unknown key"),
        ({**HOOK, "min_severity": "loud"}, "min_severity", "found 'loud'"),
        ({"kind": "pigeon"}, "one", "pigeon"),
        ({"kind": "alertmanager", "url": ""}, "url", "found ''"),
        ({"kind": "apprise"}, "secret", "missing"),
        (
            {**SERVICE, "secret": "slack://a/b/c"},
            "secret",
            "expected the name of an environment variable",
        ),
        ({**MAIL, "to": []}, "to", "at least 1"),
        ({**MAIL, "sender": "nobody"}, "sender", "expected an e-mail address"),
        ({**MAIL, "host": ""}, "host", "expected a host name"),
        ({**MAIL, "port": 70000}, "port", "70000"),
        ({**MAIL, "username": "anna"}, "one", "username and secret together"),
        (
            {**MAIL, "username": "a", "secret": "P", "security": "none"},
            "one",
            "not sent without encryption",
        ),
    ],
)
def test_a_bad_channel_is_refused_by_its_path(channel, path, said):
    with pytest.raises(Refused) as refused:
        read(channel)
    assert "rollouts.yaml: alerts.channels.one" in str(refused.value)
    assert path in str(refused.value)
    assert said in str(refused.value)


def test_a_section_without_channels_is_no_way_to_silence():
    with pytest.raises(Refused, match=r"alerts\.channels"):
        validate_as(IndexFile, {"alerts": {"channels": {}}}, "rollouts.yaml")


def test_a_severity_reaches_those_who_want_it_or_less():
    assert Severity.ERROR.reaches(Severity.WARN)
    assert Severity.WARN.reaches(Severity.WARN)
    assert not Severity.INFO.reaches(Severity.WARN)

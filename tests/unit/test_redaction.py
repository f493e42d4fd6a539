"""Secrets are removed from every text, however they are quoted in it, and the rest of the text
stays."""

import base64
import html
import json
import logging
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import make_url

from qdrant_rollouts.adapters import environment
from qdrant_rollouts.adapters.celery import make_app
from qdrant_rollouts.core import errors
from qdrant_rollouts.core.config.settings import Settings, load_settings
from qdrant_rollouts.core.errors import AppError, Refused, Unavailable
from qdrant_rollouts.core.sanitize import redaction
from qdrant_rollouts.core.sanitize.redaction import (
    redact,
    remember_environment,
    remember_secret,
    remember_url,
    without_secrets,
)

ROOT = Path(__file__).parents[2]
SECRET = "k3y/of+all: päss%20<w>&'\"\\word"
QUOTED = {
    "as it is": str,
    "in a URL": lambda text: quote(text, safe=""),
    "in a path": quote,
    "in lower case": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "in a form": quote_plus,
    "in Python": repr,
    "as bytes": lambda text: repr(text.encode()),
    "in a repr of a repr": lambda text: repr(repr(text)),
    "in JSON": json.dumps,
    "in JSON with letters": lambda text: json.dumps(text, ensure_ascii=False),
    "in HTML": html.escape,
}


@pytest.mark.parametrize("way", QUOTED)
def test_a_secret_is_taken_out_however_it_is_quoted(way):
    remember_secret(SECRET)
    shown = QUOTED[way](SECRET)
    said = redact(f"Illegal header value {shown} was met")
    assert shown not in said
    assert "k3y" not in said
    assert "word" not in said
    assert said.startswith("Illegal header value ")
    assert said.endswith(" was met")


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4).filter(
        lambda text: text.strip() == text
    )
)
def test_no_quotation_of_any_secret_gets_through(secret):
    assume(
        secret.lower() not in redaction._OWN_WORDS
    )  # these are hidden only where a password stands
    redaction.forget_secrets()
    remember_secret(secret)
    for quoted in QUOTED.values():
        assert quoted(secret) not in redact(f"<{quoted(secret)}>")


def test_the_line_end_of_a_secret_that_was_read_from_a_file_does_not_hide_it():
    remember_secret("hunter2hunter2\n")
    assert redact(r"Illegal header value b'hunter2hunter2\n'") == r"Illegal header value b'***\n'"


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("redis://:p%40ss%2Fw@host:6379/0", ["p%40ss%2Fw", "p%40ss%2fw", "p@ss/w"]),
        ("redis://a:fir5t@h1/0;redis://b:sec0nd@h2/0", ["fir5t", "sec0nd"]),
        ("redis+socket:///run/redis.sock?password=s0cket", ["s0cket"]),
        ("postgresql://u:raw@ssw0rd@db/n", ["raw@ssw0rd"]),
        ("postgresql://u@db/n?password=query9&sslpassword=tls9", ["query9", "tls9"]),
        ("https://u:pr0xy@qdrant:6333", ["pr0xy", base64.b64encode(b"u:pr0xy").decode()]),
        ("amqp://guest:rabb1t@mq//", ["rabb1t"]),
        ("u:n0scheme@qdrant:6333", ["n0scheme"]),
    ],
)
def test_every_password_of_a_url_is_known_in_both_forms(url, passwords):
    remember_url(url)
    for password in passwords:
        assert password not in redact(f"the server said: {password} is wrong, b'{password}'")


def test_the_password_of_a_url_that_nobody_declared_is_hidden_and_an_example_is_shown():
    assert redact("proxy http://me:unkn0wn@p:3128 said no") == "proxy http://me:***@p:3128 said no"
    example = "e.g. redis://:password@host:6379/0 or postgresql://user:password@host/name"
    assert redact(example) == example


@pytest.mark.parametrize(
    "name", ["key", "api-key", "token", "access_token", "X-Amz-Signature", "sig", "client_secret"]
)
def test_a_parameter_of_any_url_that_is_named_as_a_secret_is_hidden(name):
    said = f"found 'https://host/v1?a=1&{name}=unkn0wn&b=2', https://host/?{name}=unkn0wn#c"
    assert redact(said) == f"found 'https://host/v1?a=1&{name}=***&b=2', https://host/?{name}=***#c"
    plain = (
        "https://host/?monkey=1&author=2&page_token_size=3; "
        "redis+socket:///r.sock?password=password"
    )
    assert redact(plain) == plain


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cannot read https://", "@files.example/docs.jsonl"),
        ("Authorization: Bearer ", " was refused"),
        ("headers={'authorization': 'Basic ", "', 'accept': '*/*'}"),
        ("{'api-key': '", "'}"),
        ("api_key=", ", timeout=5"),
        ("the answer to bearer ", " is 401"),
    ],
)
def test_a_token_that_nobody_declared_is_hidden_where_tokens_stand(before, after):
    assert redact(f"{before}tok3nOfSomebody{after}") == f"{before}***{after}"


@pytest.mark.parametrize(
    "said",
    [
        "api_key: the name of a variable",
        "a bearer token is expected",
        "a basic understanding of it",
        "mail anna@example.org, see https://example.org/a@b",
        "postgresql://postgres@db/rollouts does not answer",
    ],
)
def test_a_sentence_about_tokens_is_left_alone(said):
    assert redact(said) == said


def test_the_keys_in_a_connection_string_are_known():
    plain = "DefaultEndpointsProtocol=https;AccountName=shop;"
    remember_environment(
        {"AZURE_STORAGE_CONNECTION_STRING": f"{plain}AccountKey=s3cr3t/s3cr3t==;x=y"}
    )
    assert redact("shop said s3cr3t/s3cr3t== is wrong") == "shop said *** is wrong"


def test_a_password_that_is_a_word_of_ours_leaves_our_sentences_alone():
    remember_url("postgresql://rollouts:rollouts@db/rollouts")
    remember_url("redis://:redis@host/0")
    said = (
        "start `rollouts up`; use redis://host; postgresql://rollouts:rollouts@db, "
        "redis://:redis@host"
    )
    assert (
        redact(said)
        == "start `rollouts up`; use redis://host; postgresql://rollouts:***@db, redis://:***@host"
    )


def test_a_short_word_is_hidden_as_a_word_only():
    remember_secret("cat")
    remember_secret("secret")
    assert (
        redact("the catalogue has a cat; secretary, b'secret'")
        == "the catalogue has a ***; secretary, b'***'"
    )


def test_variables_that_are_named_as_secrets_are_known_and_folders_are_not():
    remember_environment(
        {
            "AWS_SECRET_ACCESS_KEY": "aws9aws9",
            "PGPASSWORD": "pg9pg9",
            "HF_TOKEN": "hf_9hf9",
            "HTTPS_PROXY": "http://me:pr0xy9@proxy",
            "FLOWER_BASIC_AUTH": "anna:fl0wer9,bert:fl0wer8",
            "PWD": "/work",
            "OLDPWD": "/work",
            "SSH_AUTH_SOCK": "/run/agent",
            "SOME_KEY": "true",
        }
    )
    said = "aws9aws9 pg9pg9 hf_9hf9 pr0xy9 fl0wer9 fl0wer8 /work /run/agent anna true"
    assert redact(said) == "*** *** *** *** *** *** /work /run/agent anna true"


def kinds_of_errors(kind):
    return [kind, *(found for sub in kind.__subclasses__() for found in kinds_of_errors(sub))]


@pytest.mark.parametrize("kind", kinds_of_errors(AppError))
def test_no_error_of_ours_can_say_a_secret(kind):
    remember_secret("hunter2hunter2")
    assert "hunter2" not in str(kind("Illegal header value b'hunter2hunter2'"))


@pytest.mark.parametrize("name", ["QDRANT_API_KEY", "API_TOKEN"])
def test_a_key_of_the_settings_is_known_once_they_are_read(monkeypatch, name):
    monkeypatch.setenv(f"ROLLOUTS_{name}", "hunter2hunter2")
    load_settings()
    assert str(Unavailable("b'hunter2hunter2'")) == "b'***'"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "postgresql://u:hunter2%2Fx@h/n"),
        ("broker_url", "redis://u:hunter2%2Fx@h/0"),
        ("qdrant_url", "http://u:hunter2%2Fx@h"),
        ("qdrant_nodes", "http://u:hunter2%2Fx@h,http://v:hunter2%2Fy@h"),
    ],
)
def test_a_password_in_a_setting_is_known_without_the_environment(name, url):
    Settings(_env_file=None, **{name: url})
    assert "hunter2" not in redact(
        "said hunter2%2Fx and hunter2/x" + (", hunter2/y" if "," in url else "")
    )


def test_what_the_index_file_names_is_known_once_it_is_read(monkeypatch):
    monkeypatch.setenv("THE_VARIABLE", " hunter2hunter2\n")
    assert environment.read_secret("THE_VARIABLE", "a test") == "hunter2hunter2"
    assert redact("key hunter2hunter2") == "key ***"


# --- logs, tracebacks, tasks ----------------------------------------------------------------------


def caused():
    try:
        try:
            raise httpx.LocalProtocolError("Illegal header value b'hunter2hunter2'")
        except httpx.LocalProtocolError as error:
            raise Refused("the server refused it") from error
    except Refused as error:
        return error


def test_an_error_is_told_without_the_secrets_of_its_causes():
    plain = caused()
    assert without_secrets(plain) is None
    remember_secret("hunter2hunter2")
    safe = without_secrets(caused())
    assert type(safe) is Refused
    assert str(safe) == "the server refused it"
    assert safe.__cause__ is None


@pytest.mark.parametrize("level", ["message", "argument", "traceback"])
def test_a_log_line_has_no_secret_in_it(level):
    remember_secret("hunter2hunter2")
    before = logging.getLogRecordFactory()
    stream = StringIO()
    logger = logging.getLogger(f"told.{level}")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logging.setLogRecordFactory(redaction._RedactedRecord)
    try:
        if level == "message":
            logger.error("it said hunter2hunter2")
        elif level == "argument":
            logger.error("it said %s", ValueError("hunter2hunter2"))
        else:
            logger.error("it failed", exc_info=caused())
    finally:
        logging.setLogRecordFactory(before)
        logger.removeHandler(handler)
    assert "hunter2" not in stream.getvalue()
    assert "it " in stream.getvalue()


@pytest.mark.parametrize("where", ["here", "in a thread"])
def test_a_traceback_that_ends_a_process_has_no_secret_in_it(where):
    program = (
        "import sys, threading; from qdrant_rollouts.core.sanitize import redaction; "
        "redaction.guard_process();"
        "redaction.remember_secret(sys.argv[1])\n"
        "def fail(): raise ValueError(sys.argv[1])\n"
        + ("fail()" if where == "here" else "threading.Thread(target=fail).start()")
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "hunter2hunter2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "hunter2" not in done.stderr
    assert "ValueError: ***" in done.stderr


@pytest.mark.parametrize("kind", [ValueError, Refused, UnicodeError, OSError, KeyError])
def test_what_a_task_raises_is_kept_without_secrets(sqlite_url, kind):
    app = make_app(
        Settings(_env_file=None, database_url=sqlite_url, qdrant_api_key="hunter2hunter2")
    )

    @app.task(name="test.fail", shared=False)
    def fail():
        raise kind("hunter2hunter2 is wrong") from ValueError("hunter2hunter2")

    done = fail.apply()
    kept = f"{done.result!r} {done.traceback}"
    assert done.state == "FAILURE"
    assert "hunter2" not in kept
    assert "is wrong" in kept


def test_a_task_that_fails_without_a_secret_keeps_its_traceback(sqlite_url):
    app = make_app(Settings(_env_file=None, database_url=sqlite_url))

    @app.task(name="test.fail_plainly", shared=False)
    def fail_plainly():
        make_url("nonsense")

    assert "in make_url" in fail_plainly.apply().traceback


def test_the_error_tree_is_all_that_is_tried_above():
    assert {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, AppError)
    } <= set(kinds_of_errors(AppError))

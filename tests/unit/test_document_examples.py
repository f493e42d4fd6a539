"""The examples of code in the documents say what the code can do."""

import ast
import importlib
import inspect
import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.adapters.alerts.webhook import sign_body
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.tasks.commands import COMMANDS
from qdrant_rollouts.tasks.experiments import FEEDBACK
from tests.unit.test_documents import OURS, PAGES, blocks, text

PYTHON = [(page, code) for page in PAGES for code in blocks(text(page), "python")]
#: Where a documented call goes, by the name of the object that the examples call.
OBJECTS = {"router": Router}


def names(examples):
    return [f"{page.name}-{number}" for number, (page, _) in enumerate(examples)]


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=names(PYTHON))
def test_what_an_example_imports_is_there(page, code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=names(PYTHON))
def test_a_call_in_an_example_has_arguments_that_are_taken(page, code):
    for call in ast.walk(ast.parse(code)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        owner = OBJECTS.get(ast.unparse(call.func.value))
        if owner is not None:
            given = {keyword.arg: None for keyword in call.keywords}
            inspect.signature(getattr(owner, call.func.attr)).bind(None, *call.args, **given)


def sent_tasks(code):
    """Each ``send_task`` in a piece of code: the task and its keyword arguments."""
    for call in ast.walk(ast.parse(code)):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".send_task"):
            given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
            yield ast.literal_eval(call.args[0]), given["kwargs"]


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=names(PYTHON))
def test_a_task_that_an_example_sends_has_these_arguments(page, code):
    for task, arguments in sent_tasks(code):
        if task != FEEDBACK:
            inspect.signature(COMMANDS[task]).bind(None, **arguments)
    if "deployments.deploy_new_version" in code and "lpush" in code:
        inspect.signature(COMMANDS["deployments.deploy_new_version"]).bind(
            None, alias_name="documentation"
        )


def test_the_example_of_a_decision_comes_to_one():
    (code,) = blocks(text(Path(__file__).parents[2] / "docs" / "experiments.md"), "python")
    exec(code, {})  # noqa: S102 - our own page


def test_the_receiver_that_is_shown_knows_our_alerts_from_others():
    page = Path(__file__).parents[2] / "docs" / "howto" / "receive-webhooks.md"
    (code,) = blocks(text(page), "python")
    shown: dict[str, Any] = {}
    exec(code, shown)  # noqa: S102 - our own page
    now = str(int(time.time()))
    signature = sign_body("key", "a-1", now, b"{}")
    sent = {"webhook-id": "a-1", "webhook-timestamp": now, "webhook-signature": signature}
    assert shown["is_ours"]("key", sent, b"{}")
    assert not shown["is_ours"]("key", sent, b"{ }")
    assert not shown["is_ours"]("key", {**sent, "webhook-timestamp": "1"}, b"{}")


# --- requests with curl ---------------------------------------------------------------------------


def requests(page):
    """Each ``curl`` of a page as method, path without its query, and body."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    for line in lines:
        words = shlex.split(line.partition("  #")[0])
        if words[:1] != ["curl"]:
            continue
        body = words[words.index("-d") + 1] if "-d" in words else None
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
        address = next(word for word in words if "/api/v1" in word or word.startswith("$API"))
        path = re.sub(r"^(\$API|https?://[^/]+/api/v1)", PREFIX, address).partition("?")[0]
        yield method, path, body


CURLS = [(page, asked) for page in OURS for asked in requests(text(page))]


@pytest.mark.parametrize(("page", "asked"), CURLS, ids=names(CURLS))
def test_a_request_in_an_example_is_one_that_is_answered(page, asked):
    method, path, body = asked
    answered = {PREFIX + "/stream": {"get": None}}
    for endpoint in ENDPOINTS:
        answered.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = endpoint.takes
    fitting = [way for way in answered if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", way), path)]
    assert len(fitting) == 1, f"{method} {path}"
    assert method.lower() in answered[fitting[0]]
    if body is not None:
        answered[fitting[0]][method.lower()].model_validate(json.loads(body))

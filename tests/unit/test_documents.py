"""What the documents name exists: commands, variables, keys, tasks, settings, make targets,
files."""

import ast
import asyncio
import json
import re
import shlex
import tomllib
from pathlib import Path
from pkgutil import resolve_name
from types import UnionType
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import click
import pytest
import yaml
from pydantic import BaseModel

from qdrant_rollouts.adapters.alerts import CHANNELS
from qdrant_rollouts.adapters.celery import SETTINGS
from qdrant_rollouts.adapters.sources import SOURCES
from qdrant_rollouts.beat_schedule import SCHEDULE
from qdrant_rollouts.core.alerts.outbox import TRIGGERS
from qdrant_rollouts.core.config.alert_spec import (
    AlertmanagerSpec,
    AppriseSpec,
    EmailSpec,
    LogSpec,
    WebhookSpec,
)
from qdrant_rollouts.core.config.experiment_spec import STANDARD, ExperimentSpec, MetricSpec
from qdrant_rollouts.core.config.index_file import (
    ConcurrencySpec,
    IndexFile,
    IndexSpec,
    validate_as,
)
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments.due_slices import FILL
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import ExperimentStatus, Status
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.interfaces.cli.running import DONE, INTERRUPTED, MEANINGS
from qdrant_rollouts.interfaces.http.api import ENDPOINTS
from qdrant_rollouts.interfaces.http.problems import KINDS
from qdrant_rollouts.interfaces.mcp.guard import SCOPE_OF, Guard
from qdrant_rollouts.interfaces.mcp.server import make_server
from qdrant_rollouts.tasks.commands import COMMANDS
from qdrant_rollouts.tasks.experiments import FEEDBACK
from qdrant_rollouts.tasks.maintenance import TAKE_UP

CHANNEL_SPECS = (LogSpec, WebhookSpec, AlertmanagerSpec, EmailSpec, AppriseSpec)
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Notes are of the time before the code, and say so.
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SKILL.md",
        *ROOT.glob("examples/*/README.md"),
        *(page for page in DOCS.rglob("*.md") if page.parent != DOCS / "notes"),
    ]
)
#: Without the examples, which have tasks and services of their own.
OURS = [page for page in PAGES if "examples" not in page.parts]
TASKS = {
    *COMMANDS,
    FEEDBACK,
    TAKE_UP,
    *(entry["task"] for entry in SCHEDULE.values()),
    *(f"deployments.{step}" for step in STEPS),
    f"deployments.{FILL}",
}


def text(page):
    return page.read_text(encoding="utf-8")


def blocks(page, *languages):
    """The fenced blocks of a page in one of these languages."""
    return [
        code
        for language, code in re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL)
        if language in languages
    ]


def spans(page):
    """What stands in backticks between the fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))


def code(page):
    return [line for block in blocks(page, "sh") for line in block.splitlines()] + spans(page)


def table(page, title):
    """The rows of the table whose first column has this title, each as its cells without
    backticks."""
    rows = page.split(f"| {title} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def told(value):
    """A default as the documents write it."""
    if isinstance(value, str | Path):
        return f"`{value}`" if str(value) else "empty"
    return f"`{json.dumps(value, default=str)}`"


# --- endpoints ------------------------------------------------------------------------------------


def test_every_endpoint_stands_on_its_page():
    rows = table(text(ROOT / "docs" / "http-api.md"), "endpoint")[:-2]
    said = [
        [
            f"`{one.method} {one.path}`",
            f"`{one.scope}`" if one.scope else "any",
            one.summary,
            "yes" if one.show_started else "",
        ]
        for one in ENDPOINTS
    ]
    assert rows == said


def test_every_kind_of_problem_stands_on_its_page():
    rows = table(text(ROOT / "docs" / "http-api.md"), "name")
    status = {kind: "any other" if kind.name == "http" else str(kind.status) for kind in KINDS}
    assert rows == [[f"`{kind.name}`", status[kind], kind.means] for kind in KINDS]


# --- commands -------------------------------------------------------------------------------------


def wrong_command(line):
    """What is wrong with a line that calls ``rollouts``, or nothing."""
    words = shlex.split(line.replace("…", ""), comments=True)[1:]
    command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(click.Context(command), words[0])
        if command is None:
            return f"{words[0]} is no verb"
        words.pop(0)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return ", ".join(word for word in words if word.startswith("--") and word not in known)


def calls(page):
    lines = [line.strip().removeprefix(".venv/bin/") for line in code(page)]
    return [line for line in lines if re.match(r"rollouts [a-z-]", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_and_has_the_options_it_is_given(page):
    assert {line: fault for line in calls(text(page)) if (fault := wrong_command(line))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "rollouts deploi x",
        "rollouts alias move a b",
        "rollouts deploy x --fast",
        "rollouts list --wait",
    ],
)
def test_a_command_that_is_none_is_found(line):
    (call,) = calls(f"Say `{line}`.")
    assert wrong_command(call)


def test_every_verb_is_in_the_changelog():
    assert set(main.list_commands(click.Context(main))) <= set(spans(text(ROOT / "CHANGELOG.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_of_make_is_there(page):
    targets = re.findall(r"^(\w+):", text(ROOT / "Makefile"), re.MULTILINE)
    named = [
        word
        for line in code(text(page))
        if (word := re.fullmatch(r"(?:.*\s)?make (\w+)", line.strip()))
    ]
    assert [word[1] for word in named if word[1] not in targets] == []


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_is_a_setting(page):
    known = {f"ROLLOUTS_{name.upper()}" for name in Settings.model_fields}
    named = {
        name
        for name in re.findall(r"\bROLLOUTS_[A-Z_]+\b", text(page))
        if not name.startswith("ROLLOUTS_TEST_")
    }
    assert named <= known


def test_the_page_has_every_setting_with_its_default():
    rows = table(text(ROOT / "docs" / "reference" / "settings.md"), "variable")
    listed = {name.strip("`"): default for name, _, default, _ in rows}
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    plain = {
        name: getattr(value, "get_secret_value", lambda value=value: value)()
        for name, value in defaults.items()
    }
    assert listed == {
        f"ROLLOUTS_{name.upper()}": told("" if value == () else value)
        for name, value in plain.items()
    }


def test_the_page_has_every_key_of_the_index_file_with_its_default():
    listed = {
        name.strip("`"): default
        for name, default, _ in table(text(ROOT / "docs" / "index-file.md"), "key")
    }
    keys = dict(documented(IndexSpec))
    assert listed.keys() == keys.keys()
    inwords = {
        "collection": "as blue",
        "embedding.vector": "empty",
        "canary.stages": "5 %, 25 %, 50 %, 100 %",
    }
    assert listed == {key: inwords.get(key, default) for key, default in keys.items()}


def test_the_page_has_every_key_of_concurrency_with_its_default():
    listed = {
        name.strip("`"): default
        for name, default, _ in table(text(ROOT / "docs" / "index-file.md"), "concurrency key")
    }
    assert listed == dict(documented(ConcurrencySpec, "concurrency."))


def test_the_page_has_every_key_of_every_alert_channel_with_its_default():
    rows = table(text(ROOT / "docs" / "index-file.md"), "channel key")
    kinds = {spec.model_fields["kind"].annotation.__args__[0]: spec for spec in CHANNEL_SPECS}
    listed = {
        (kind, name.strip("`")): default
        for name, of, default, _ in rows
        for kind in (kinds if of == "all" else of.split(", "))
    }
    assert set(kinds) == set(CHANNELS)
    keys = {
        (kind, name): default(field)
        for kind, spec in kinds.items()
        for name, field in spec.model_fields.items()
    }
    assert listed == keys


def test_the_page_of_alerts_has_every_alert_with_its_severity():
    rows = table(text(ROOT / "docs" / "reference" / "alerts.md"), "alert")
    listed = {
        name: (severity, "while" in told) for names, severity, told in rows for name in spans(names)
    }
    assert listed == {name: (trigger.severity, trigger.lasts) for name, trigger in TRIGGERS.items()}


def documented(model, path=""):
    """Keys with their defaults; a section that is there by default is told by its keys alone."""
    for name, field in model.model_fields.items():
        default = field.get_default()
        inner = section(field.annotation)
        if path + name == "collection" or not isinstance(default, BaseModel):
            yield (
                path + name,
                "required" if field.is_required() else "none" if default is None else told(default),
            )
        if inner is not None:
            yield from documented(inner, f"{path}{name}.")


def section(annotation):
    """The section that a key holds, be it there by default or not; a list of sections is one
    key."""
    kinds = annotation.__args__ if isinstance(annotation, UnionType) else [annotation]
    return next(
        (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_index_file_shown_is_a_good_one(page):
    for block in blocks(text(page), "yaml"):
        assert validate_as(IndexFile, yaml.safe_load(block), page.name).indexes


def test_a_bad_index_file_would_be_found():
    with pytest.raises(Refused, match="sorce"):
        validate_as(IndexFile, yaml.safe_load("indexes: {a: {sorce: x}}"), "page")


@pytest.mark.parametrize(("title", "model", "without"), [
    ("setting", MetricSpec, set()), ("option", ExperimentSpec, {"arms", "metrics"})
])  # fmt: skip
def test_the_page_has_every_option_of_an_experiment_with_its_default(title, model, without):
    page = text(ROOT / "docs" / "reference" / "experiment-options.md")
    listed = {name.strip("`"): default for name, default, _ in table(page, title)}
    fields = {name: field for name, field in model.model_fields.items() if name not in without}
    assert listed == {name: default(field) for name, field in fields.items()}


def default(field):
    return (
        "required"
        if field.is_required()
        else "none"
        if field.default is None
        else told(field.default)
    )


def test_the_page_has_every_standard_metric_with_its_role():
    rows = table(text(ROOT / "docs" / "reference" / "experiment-options.md"), "metric")
    roles = {name.strip("`"): role.split(",")[0] for name, _, role in rows if name.startswith("`")}
    assert roles == {name: metric.role for name, metric in STANDARD.items()}


def test_the_sources_page_has_every_kind():
    written = {
        row[0].strip("`").split(":")[0]
        for row in table(text(ROOT / "docs" / "sources.md"), "written")
    }
    assert written == set(SOURCES)


def test_the_celery_page_has_every_setting():
    listed = [
        name
        for row in table(text(ROOT / "docs" / "celery.md"), "setting")
        for name in spans(row[0])
    ]
    assert sorted(listed) == sorted({*SETTINGS, "result_backend"})


def test_the_celery_page_has_the_values_of_the_settings():
    rows = table(text(ROOT / "docs" / "celery.md"), "setting")
    listed = {}
    for names, values, _ in rows:
        each = [value.strip("` ") for value in values.split(";")[0].split(",")]
        if len(each) == len(spans(names)):
            listed.update(zip(spans(names), each, strict=True))
    described = {"worker_consumer", "result_backend", "broker_transport_options"}
    plain = {
        name: value
        for name, value in listed.items()
        if name not in described and not isinstance(SETTINGS[name], dict | list)
    }
    assert len(plain) > 20
    words = {True: "true", False: "false", None: "none"}
    assert plain == {
        name: words[SETTINGS[name]]
        if isinstance(SETTINGS[name], bool | None)
        else str(SETTINGS[name])
        for name in plain
    }


# --- what agents read -----------------------------------------------------------------------------


def first_cells(page, title):
    """What stands in backticks in the first column."""
    return [name for row in table(text(page), title) for name in spans(row[0])]


def read_skill():
    """The frontmatter, and the text below it."""
    _, head, body = text(ROOT / "SKILL.md").split("---\n", 2)
    return yaml.safe_load(head), body


def list_templates():
    """The resources of the MCP server, which needs no services to name them."""
    server = make_server(None, None, Guard(lambda context: None), deploys=True)
    return {one.uri_template for one in asyncio.run(server.list_resource_templates())}


def test_the_skill_has_the_frontmatter_that_agents_read():
    head, body = read_skill()
    assert head.keys() == {"name", "description"}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", head["name"])
    assert len(head["name"]) <= 64
    assert 100 < len(head["description"]) <= 1024
    assert len(body.splitlines()) < 150


@pytest.mark.parametrize("page", ["SKILL.md", "docs/mcp.md"])
def test_agents_are_told_of_every_tool_and_resource_and_of_no_other(page):
    tools = [name.partition("(")[0] for name in first_cells(ROOT / page, "tool")]
    assert sorted(tools) == sorted(SCOPE_OF)
    assert set(first_cells(ROOT / page, "resource")) == list_templates()


def test_the_skill_says_what_to_do_in_every_state():
    assert first_cells(ROOT / "SKILL.md", "state") == list(Status)
    _, body = read_skill()
    (experiments,) = re.findall(r"An experiment is (.*?)\.", body)
    assert spans(experiments) == list(ExperimentStatus)


def test_the_skill_has_every_exit_code_and_only_errors_that_there_are():
    rows = table(text(ROOT / "SKILL.md"), "exit code")
    codes = {DONE, *(code for _, code in MEANINGS.values())} - {INTERRUPTED}
    assert [int(row[0]) for row in rows] == sorted(codes)
    kinds = first_cells(ROOT / "SKILL.md", "kind")
    assert len(kinds) > 10
    assert set(kinds) <= {kind.name for kind in KINDS}


def test_the_skill_names_no_tool_that_there_is_not():
    """Every name in backticks that is written like a tool is one, or one of their arguments."""
    _, body = read_skill()
    named = {name for name in spans(body) if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)}
    assert named - {"wait_seconds"} <= {*SCOPE_OF, *Status}


# --- tasks, statuses, files -----------------------------------------------------------------------


@pytest.mark.parametrize("page", OURS, ids=lambda page: page.name)
def test_every_dotted_name_of_the_code_exists(page):
    for name in re.findall(
        r"(?<![\w./-])(?:qdrant_rollouts\.)?((?:core|tasks|interfaces|adapters)(?:\.[A-Za-z_]\w*)+)"
        r"(?![\w/(*-])",
        text(page),
    ):
        resolve_name(f"qdrant_rollouts.{name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_task_is_one(page):
    named = re.findall(
        r"\b(?:deployments|aliases|collections|indexes|experiments|schedules|backups)\.[a-z_]+\b(?!\()",
        "\n".join(spans(text(page))),
    )
    sent = re.findall(r'send_task\("([^"]+)"', text(page))
    files = {"collections.py", "aliases.py", "backups.py"}
    assert {*named, *sent} - files <= TASKS


def test_the_celery_page_has_every_command():
    assert {row[0].strip("`") for row in table(text(ROOT / "docs" / "celery.md"), "task")} == set(
        COMMANDS
    )


def test_the_page_of_statuses_has_every_status():
    rows = table(text(ROOT / "docs" / "reference" / "statuses.md"), "status")
    assert {row[0].strip("`") for row in rows} == set(Status)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    linked = [urlsplit(link) for link in re.findall(r"\]\(([^)]+)\)", text(page))]
    assert [
        link.path for link in linked if not link.scheme and not (page.parent / link.path).exists()
    ] == []


def test_the_picture_is_of_a_run_that_ended_well_and_of_no_machine():
    picture = ET.parse(ROOT / "docs" / "images" / "demo.svg")  # noqa: S314 - our own file
    shown = [line.text for line in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert any("What was found" in line for line in shown)
    assert any("searches by alias" in line and "0 failed, 0 empty" in line for line in shown)
    assert [line for line in shown if re.search(r"/(home|work|root|tmp)/", line)] == []


def test_pypi_shows_the_readme_and_the_image_is_built_with_it():
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert project["readme"] == "README.md"
    assert "!README.md" in text(ROOT / ".dockerignore").splitlines()
    assert text(ROOT / "Dockerfile").index("COPY . .") < text(ROOT / "Dockerfile").index(
        "pip install --no-deps ."
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_document_names_a_machine(page):
    """Neither somebody's folders nor somebody's package index."""
    assert (
        re.findall(
            r"(?:/home/|/work/|/root/|/tmp/)\S*|https?://(?!localhost)[^\s)\"'`]+", text(page)
        )
        == []
    )


def test_every_room_of_the_core_is_on_the_map_with_its_sentence():
    rows = table(text(ROOT / "docs" / "understand" / "rooms.md"), "room of the core")
    drawn = {name.strip("`/").removeprefix("core/"): sentence for name, sentence in rows}
    assert drawn == {
        path.name: _sentence(path)
        for path in (ROOT / "core").iterdir()
        if (path / "__init__.py").exists()
    }


def _sentence(room):
    docstring = ast.get_docstring(ast.parse(text(room / "__init__.py")))
    first = docstring.split("\n\n")[0].replace("\n", " ").removesuffix(".")
    return first if first[1] == "/" else first[0].lower() + first[1:]

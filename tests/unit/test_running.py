"""Procfile, docker-compose.yml and .env.example agree, and nothing in them opens a door."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from qdrant_rollouts.core.config.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
LINES = dict(
    re.findall(r"^([\w-]+):\s*(.+)$", (ROOT / "Procfile").read_text(encoding="utf-8"), re.MULTILINE)
)
#: Processes that stay.
PROCFILE = {name: command for name, command in LINES.items() if name != "migrate"}
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SERVICES = sorted(COMPOSE["services"].items())
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")
SECRET = re.compile(r"PASSWORD|API_KEY|TOKEN|AUTH")


def options(command):
    """What a process is told, without where this machine keeps its files and which address it
    shows."""
    words = command if isinstance(command, list) else shlex.split(command)
    return [
        word
        for word in words
        if word.startswith("--") and not re.match(r"--(app|db|address|host)=", word)
    ]


def test_the_procfile_and_compose_run_the_same_processes():
    ours = {
        name: service["command"]
        for name, service in SERVICES
        if service["image"] == "qdrant-rollouts"
    }
    assert ours.pop("migrations") == ["rollouts", "migrate"]
    assert (
        sorted(ours)
        == sorted(PROCFILE)
        == ["beat", "flower", "mcp", "web", "worker", "worker-bulk"]
    )
    assert {name: options(command) for name, command in ours.items()} == {
        name: options(command) for name, command in PROCFILE.items()
    }


def test_the_database_is_brought_up_to_date_once_and_before_the_rest():
    assert LINES["migrate"].startswith(".venv/bin/rollouts migrate && ")
    waiting = [name for name, one in SERVICES if "migrations" in one.get("depends_on", {})]
    assert waiting == ["beat", "flower", "mcp", "web", "worker", "worker-bulk"]
    assert COMPOSE["services"]["migrations"]["restart"] == "no"


def test_every_queue_has_a_worker():
    queues = re.findall(r"--queues=(\S+)", "\n".join(PROCFILE.values()))
    assert sorted(",".join(queues).split(",")) == ["bulk", "celery", "control", "rouse"]


def test_flower_does_not_start_without_a_password(tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", PROCFILE["flower"]],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "FLOWER_BASIC_AUTH" in done.stderr
    assert {"--address=127.0.0.1", "--read_only=True"} <= set(PROCFILE["flower"].split())


@pytest.mark.parametrize("name", ["web", "mcp"])
def test_who_comes_from_outside_a_container_needs_a_token(name):
    assert "--host=127.0.0.1" in PROCFILE[name].split()
    assert REQUIRED.fullmatch(COMPOSE["services"][name]["environment"]["ROLLOUTS_API_TOKEN"])


def test_redis_forgets_nothing_over_a_restart():
    assert "--appendonly yes --appendfsync everysec" in COMPOSE["services"]["redis"]["command"][-1]


def compose():
    """The command that starts it here, if any: Docker's plugin, or the program it was before."""
    for client in (["docker", "compose"], ["docker-compose"]):
        there = shutil.which(client[0])
        if (
            there
            and subprocess.run([*client, "version"], capture_output=True, check=False).returncode
            == 0
        ):
            return client
    return None


def test_the_client_of_compose_reads_the_file(tmp_path):
    """Where there is one. Versions before 2 know everything here but ``name``."""
    client = compose()
    if client is None:
        pytest.skip("there is no client of Docker compose")
    variables = re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    spec = {key: value for key, value in COMPOSE.items() if key != "name"}
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    done = subprocess.run(
        [*client, "config"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", **dict.fromkeys(variables, "given")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == COMPOSE["services"].keys()


@pytest.mark.parametrize(("name", "service"), [one for one in SERVICES if one[0] != "migrations"])
def test_a_service_says_how_it_is_and_gets_time_to_end(name, service):
    assert service["healthcheck"]["test"]
    assert service["stop_grace_period"] == "60s"
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize(("name", "service"), SERVICES)
def test_a_service_is_published_on_loopback_or_not_at_all(name, service):
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []
    assert "network_mode" not in service


@pytest.mark.parametrize(("name", "service"), SERVICES)
def test_a_secret_has_no_default(name, service):
    for variable, value in service["environment"].items():
        if SECRET.search(variable):
            assert REQUIRED.fullmatch(value), variable
        elif "://" in value and "@" in value:
            assert REQUIRED.search(value), variable


@pytest.mark.parametrize(("name", "service"), SERVICES)
def test_an_image_has_a_version_and_a_volume_a_name(name, service):
    assert service["image"] == "qdrant-rollouts" or re.search(r":v?\d+\.?\d*", service["image"])
    folders = [volume.split(":")[0] for volume in service["volumes"]]
    assert [
        folder for folder in folders if folder not in COMPOSE["volumes"] and folder != "./indexes"
    ] == []


def test_processes_wait_for_healthy_servers():
    for name in PROCFILE:
        waits = dict(COMPOSE["services"][name]["depends_on"])
        assert waits.pop("migrations") == {"condition": "service_completed_successfully"}
        assert waits == {
            server: {"condition": "service_healthy"} for server in ("redis", "qdrant", "postgres")
        }


def test_the_example_lists_every_setting_and_gives_no_value_away():
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    ours = {f"ROLLOUTS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^#(\w+)=", EXAMPLE, re.MULTILINE)) == ours | asked
    assert re.findall(r"^[^#\n].*$", EXAMPLE, re.MULTILINE) == []


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_example_shows_the_default_of_every_setting(name):
    default = Settings.model_fields[name].default
    shown = re.search(rf"^#ROLLOUTS_{name.upper()}=(.*)$", EXAMPLE, re.MULTILINE)[1]
    value = default.get_secret_value() if hasattr(default, "get_secret_value") else default
    assert shown == (
        "" if value == () else str(value).lower() if isinstance(value, bool) else str(value)
    )

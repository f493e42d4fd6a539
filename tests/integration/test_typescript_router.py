"""The router of ``examples/typescript``, compiled and run by Node: it chooses as our own does, and
what it observes arrives."""

import json
import os
import shutil
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.database.experiment_rows import ExposureRow
from qdrant_rollouts.core.experiments.commands import create_experiment, stop_experiment
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.exposures import unit_of_user
from qdrant_rollouts.core.statistics.assignment import bucket
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http.api.requests.routers import ObservationsRequest
from qdrant_rollouts.interfaces.http.security import LARGEST_BODY
from tests.agents import served
from tests.qdrants import wait_until
from tests.servers import FRESH, free_ports
from tests.world import World

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "examples/typescript"
NODE = shutil.which("node") or "node"
TOOLS = ROOT / "tests/tools/node_modules"
VECTORS = json.loads((ROOT / "docs/assets/router-vectors.json").read_text(encoding="utf-8"))
USERS = [f"user {number}" for number in range(200)]
BLUE, GREEN = "ts_1", "ts_2"
VECTOR = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The folder of the compiled files. The compiler checks every type."""
    assert (TOOLS / "typescript").is_dir(), "the compiler is missing: make tools"
    folder = tmp_path_factory.mktemp("typescript")
    compiler = [NODE, TOOLS / "typescript/bin/tsc", "-p", SOURCES, "--outDir", folder]
    run = subprocess.run(
        [*compiler, "--typeRoots", TOOLS / "@types"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return folder


def evaluate(compiled, script, given):
    """What a script prints as JSON of what it is given as JSON."""
    run = subprocess.run(
        [NODE, "--input-type=module", "-e", script],
        cwd=compiled, input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


HASHED = """
import { readFileSync } from "node:fs";
import { bucketOf, groupOf, latencyBucket, unitOf } from "./hash.js";
import { choose } from "./choice.js";
const given = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({
  users: given.users.map((one) =>
    ({ ...one, bucket: bucketOf(one.salt, one.user), group: groupOf(one.salt, one.user) })),
  units: given.units.map((one) => ({ ...one, unit: unitOf(one.experiment, one.user) })),
  latencies: given.latencies.map((one) => ({ ...one, bucket: latencyBucket(one.seconds) })),
  routes: given.routes.map(({ route, users }) => ({ route, users: users.map(({ user }) => {
    const { variant, collection } = choose(route, route.alias, user);
    return { user, variant, collection };
  }) })),
}));
"""


def test_it_agrees_with_every_published_test_vector(compiled):
    found = evaluate(compiled, HASHED, VECTORS)
    assert found == {name: VECTORS[name] for name in found}
    assert len(found) == 4


# --- with servers ---------------------------------------------------------------------------------


class Installation:
    """A web process, a Qdrant server with two collections, and a token of a router."""

    def __init__(self, world, qdrant, url):
        self.world = world
        self.qdrant = qdrant
        self.url = url
        made = tokens.create_token(world.services, "shop", ["router"], actor="anna")
        self.token = made["token"]

    def set_route(self, **changes):
        route = {"blue": BLUE, "green": GREEN, "share": 3000, "salt": "salt", "stage": "d/1"}
        return table.set_route(self.world.services, "ts", **{**route, **changes})

    def tallies(self, stage):
        with self.world.services.sessions() as session:
            return {
                (key.variant, key.kind, key.collection): tally
                for key, tally in traffic.read_tallies(session, "ts", stage).items()
            }


@pytest.fixture(scope="module")
def installation(tmp_path_factory, qdrant_server):
    folder = tmp_path_factory.mktemp("served")
    store = ServerStore(qdrant_server.url, "", qdrant_server.grpc_port)
    world = World(folder, f"sqlite:///{folder / 'state.db'}", store)
    with httpx.Client(base_url=qdrant_server.url, trust_env=False, limits=FRESH) as http:
        for name in (BLUE, GREEN):
            fill(http, name)
        with served(world) as url:
            yield Installation(world, qdrant_server.url, url)
        for name in (BLUE, GREEN):
            http.delete(f"/collections/{name}")
    world.close()


def fill(http, name):
    body = {"vectors": {"size": 4, "distance": "Dot"}}
    http.put(f"/collections/{name}", json=body).raise_for_status()
    points = {"points": [{"id": 1, "vector": VECTOR, "payload": {}}]}
    http.put(f"/collections/{name}/points?wait=true", json=points).raise_for_status()


class Example:
    """The example under way: each user is a line, and each answer too."""

    def __init__(self, process):
        self.process = process
        self.errors = []
        threading.Thread(target=self._read_errors, daemon=True).start()

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def ask(self, *users):
        self.process.stdin.write("".join(f"{user}\n" for user in users))
        self.process.stdin.flush()
        return [json.loads(self.process.stdout.readline()) for _ in users]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0, self.errors


@contextmanager
def running(compiled, installation, **settings):
    environment = {
        **os.environ,
        "ROLLOUTS_URL": installation.url,
        "ROLLOUTS_TOKEN": installation.token,
        "QDRANT_URL": installation.qdrant,
        **settings,
    }
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [NODE, compiled / "example.js", "ts", json.dumps(VECTOR)]
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            yield Example(process)
        finally:
            process.kill()


def test_two_hundred_users_get_what_our_router_gives_them_and_their_searches_arrive(
    compiled, installation
):
    route = installation.set_route(stage="d/shares")
    expected = {user: route.variant(bucket(route.salt, user)) for user in USERS}
    with running(compiled, installation) as example:
        found = example.ask(*USERS)
        example.end()
    assert {one["user"]: one["variant"] for one in found} == expected
    assert all(one["collection"] == route.collection(one["variant"]) for one in found)
    assert all((one["results"], one["fallback"]) == (1, False) for one in found)
    tallies = installation.tallies("d/shares")
    calls = {variant: tally.calls for (variant, _, _), tally in tallies.items()}
    assert calls == Counter(expected.values())
    assert calls.keys() == {"live", "control", "canary"}
    assert ("canary", "real", GREEN) in tallies
    assert all(tally.errors == 0 and tally.seconds > 0 for tally in tallies.values())
    assert example.errors == []


def test_a_changed_route_is_followed_and_confirmed_and_the_end_is_told(compiled, installation):
    services = installation.world.services
    installation.set_route(stage="d/follow", share=0)
    with running(compiled, installation) as example:
        assert {one["collection"] for one in example.ask(*USERS[:20])} == {BLUE}
        route = installation.set_route(stage="d/follow", share=10_000)
        wait_until(lambda: table.confirm_route(services, route).serving == 1)
        assert {one["collection"] for one in example.ask(*USERS[:20])} == {GREEN}
        example.end()
    assert table.confirm_route(services, route).known == 0


def test_blue_answers_what_green_cannot_and_it_is_counted_against_green(compiled, installation):
    installation.set_route(stage="d/fallback", share=10_000, green="ts_gone")
    with running(compiled, installation) as example:
        found = example.ask(*USERS[:10])
        example.end()
    assert {(one["collection"], one["fallback"]) for one in found} == {(BLUE, True)}
    tally = installation.tallies("d/fallback")["canary", "real", "ts_gone"]
    assert (tally.calls, tally.errors, tally.fallbacks) == (10, 10, 10)


class _Relayed(BaseHTTPRequestHandler):
    """Passes a request on. While the relay is away it is not; an answer may be lost too."""

    def do_GET(self):
        self._relay()

    def do_POST(self):
        self._relay()

    def _relay(self):
        relay = self.server
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if relay.away:
            self.close_connection = True
            return
        kept = ("authorization", "content-type", "if-none-match")
        headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
        answer = relay.client.request(self.command, self.path, content=content, headers=headers)
        if self.path.endswith("/observations") and relay.loses:
            relay.loses -= 1
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        if "etag" in answer.headers:
            self.send_header("ETag", answer.headers["etag"])
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *told):
        pass


@contextmanager
def relayed(url):
    with (
        httpx.Client(base_url=url, trust_env=False, limits=FRESH) as client,
        ThreadingHTTPServer(("127.0.0.1", 0), _Relayed) as relay,
    ):
        relay.client, relay.away, relay.loses = client, False, 0
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()


def test_reports_wait_while_the_server_is_away_and_count_once_if_an_answer_is_lost(
    compiled, installation
):
    installation.set_route(stage="d/lost", share=10_000)
    with relayed(installation.url) as relay:
        relay.loses = 1
        url = f"http://127.0.0.1:{relay.server_port}"
        with running(compiled, installation, ROLLOUTS_URL=url) as example:
            example.ask(*USERS[:10])
            wait_until(lambda: example.errors)
            relay.away = True
            found = example.ask(*USERS[:20])
            assert {one["variant"] for one in found} == {"canary"}, "the last known route holds"
            relay.away = False
            example.end()
    assert installation.tallies("d/lost")["canary", "real", GREEN].calls == 30


REPORTED = """
import { readFileSync } from "node:fs";
import { Reports } from "./reports.js";
const { groups, latencies } = JSON.parse(readFileSync(0, "utf8"));
const reports = new Reports("shop:1:a");
const choice = { alias: "docs", variant: "canary", collection: "docs_2", blue: "docs_1" };
for (let group = 0; group < groups; group += 1) {
  for (const seconds of latencies) {
    reports.note({ ...choice, group, user: "anna" }, { seconds, failed: group % 2 === 1 });
  }
}
const bodies = [];
await reports.send(async (path, body) => bodies.push(JSON.stringify(body)));
console.log(JSON.stringify(bodies));
"""


def test_what_piles_up_while_the_server_is_away_is_cut_into_batches_that_it_takes(compiled):
    latencies = [0.0001 * 1.06**step for step in range(200)]
    given = {"groups": 400, "latencies": latencies}
    bodies = evaluate(compiled, REPORTED, given)
    assert len(bodies) > 1
    assert max(map(len, bodies)) < LARGEST_BODY
    sketch = TrafficSketch()
    for body in map(ObservationsRequest.model_validate_json, bodies):
        for tally in body.tallies().values():
            sketch.merge(tally)
    assert (sketch.calls, sketch.errors) == (400 * 200, 200 * 200)
    assert sketch.seconds == pytest.approx(400 * sum(latencies))


def test_users_of_an_experiment_are_exposed_to_the_arm_that_our_router_gives_them(
    compiled, installation
):
    services = installation.world.services
    table.clear_route(services, "ts")
    installation.world.store.point_alias("ts", BLUE)
    options = {"window_hours": 1}
    experiment = create_experiment(
        services, "which", BLUE, [GREEN], actor="anna", metrics=["clicks"], options=options
    )
    route = table.current_route(services, "ts")
    expected = {user: route.variant(bucket(route.salt, user)) for user in USERS[:40]}
    with running(compiled, installation) as example:
        found = example.ask(*expected, *expected)
        example.end()
    assert {one["user"]: one["variant"] for one in found} == expected
    with services.sessions() as session:
        query = select(ExposureRow).where(ExposureRow.experiment_id == experiment)
        rows = {row.unit: row for row in session.scalars(query)}
    stop_experiment(services, experiment, actor="anna")
    exposed = {unit_of_user(experiment, user): variant for user, variant in expected.items()}
    assert {unit: row.variant for unit, row in rows.items()} == exposed
    assert not any(row.crossed for row in rows.values())
    assert set(exposed.values()) == {"control", route.arms[1].variant}


def test_without_the_server_the_alias_answers_and_the_reason_is_told(compiled, installation):
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    installation.world.store.point_alias("ts", BLUE)
    with running(compiled, installation, ROLLOUTS_URL=away) as example:
        (found,) = example.ask("anna")
        example.end()
    assert (found["variant"], found["collection"], found["results"]) == ("unrouted", "ts", 1)
    assert any("fetch failed" in line for line in example.errors)

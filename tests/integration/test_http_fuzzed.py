"""The HTTP API gets every request that its document allows, and many that it does not: no answer is
a server error, and each matches the document."""

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from tests.world import World, texts

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
HEADERS = {"Host": "localhost:8600", "Authorization": "Bearer a token of the test"}
#: An alias that is there, so that requests get further than to its name.
KNOWN = {"alias": "docs", "action": "rebuild"}


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    world = World(folder, f"sqlite:///{folder / 'state.db'}")
    world.declare("docs", source=world.write("docs.jsonl", texts(3)), rebuild="0 2 * * *")
    commands.start_deployment(world.services, "docs", actor="anna")
    world.run()
    app = make_app(world.services, Settings(api_token="a token of the test"))
    yield schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", app=app, headers={"Host": "localhost"}
    )
    app.state.context.routers.close()
    world.close()


@pytest.mark.proof
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method}{one.path}")
def test_every_request_has_an_answer_that_the_document_knows(schema, endpoint, effort):
    operation = schema[PREFIX + endpoint.path][endpoint.method]

    @hypothesis.settings(
        max_examples=effort(10, 300),
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy() | operation.as_strategy(schemathesis.GenerationMode.NEGATIVE),
        known=hypothesis.strategies.booleans(),
    )
    def ask(case, known):
        if known:
            case.path_parameters |= {
                name: KNOWN[name] for name in KNOWN.keys() & case.path_parameters.keys()
            }
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    ask()

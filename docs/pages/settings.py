"""Every setting; the types and defaults come from the code."""

from docs.pages.markdown import joined, table
from qdrant_rollouts.core.config.settings import Settings

_HEAD = """# Settings

`python -m docs.make_reference` makes this page from `Settings`. Settings are environment
variables, or lines of a `.env` file in the working directory. The environment has
priority, and an empty variable counts as unset. `.env.example` contains all of them.
"""


#: By field: its default as people write it, and what it means.
MEANINGS = {
    "database_url": (
        "`sqlite:///.rollouts/state.db`",
        "the database that stores the deployments; PostgreSQL if several processes share the work",
    ),
    "broker_url": (
        "`memory://`",
        "the Celery broker, `redis://…`, `rediss://…`, `redis+socket://…` or `amqp://…` "
        "([URLs](brokers.md#redis)); without one everything runs in one process",
    ),
    "qdrant_url": (
        "empty",
        "a Qdrant server; empty: an embedded one under `.rollouts/qdrant`, for one process",
    ),
    "qdrant_api_key": (
        "empty",
        "never logged, never stored",
    ),
    "qdrant_grpc_port": (
        "`6334`",
        "used for bulk work if it can be reached",
    ),
    "qdrant_nodes": (
        "empty",
        "URLs of all nodes of a cluster, separated by commas; only "
        "[backups](../howto/backup-cluster.md) need them",
    ),
    "config": (
        "`rollouts.yaml`",
        "the index file",
    ),
    "api_token": (
        "empty",
        "an additional bearer token of the web process, with every scope; prefer `rollouts token "
        "create`",
    ),
    "url": (
        "empty",
        "a rollouts server, for a [router without the database](../howto/router-by-http.md), such "
        "as `http://localhost:8600`",
    ),
    "token": (
        "empty",
        "a token with the scope `router` that the server at `ROLLOUTS_URL` accepts",
    ),
    "web_hosts": (
        "empty",
        "host names of the web process besides `localhost` and addresses, separated by `,`",
    ),
    "mcp_deploy": (
        "`false`",
        "whether [agents](../mcp.md) may deploy declared indexes; if false, the tool for it does "
        "not exist",
    ),
    "backup_dir": (
        "`.rollouts/backups`",
        "where backups are stored: a directory that every worker reaches by this path, or a URL "
        "such as  `s3://bucket/backups` ([filesystems](../howto/backup-to-bucket.md))",
    ),
    "source_roots": (
        "empty",
        "folders that file sources may read besides the working directory and the index file's "
        "folder, separated by `:`",
    ),
}


def page() -> str:
    schema = Settings.model_json_schema()["properties"]
    found = [
        [f"`{_variable(name)}`", _kind(schema[name]), *MEANINGS[name]]
        for name in Settings.model_fields
    ]
    return joined(_HEAD, table(["variable", "type", "default", "meaning"], found))


def _variable(name: str) -> str:
    return f"ROLLOUTS_{name.upper()}"


def _kind(schema: dict[str, object]) -> str:
    secret = " (never shown)" if schema.get("format") == "password" else ""
    kind = "path" if schema.get("format") == "path" else schema.get("type", "string")
    return f"{kind}{secret}"

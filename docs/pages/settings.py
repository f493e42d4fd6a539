"""Every setting: type and default are the code's, the meaning is the README's."""

from docs.pages.markdown import joined, rows, table
from qdrant_rollouts.core.config.settings import Settings

_HEAD = """# Settings

Made from `Settings` by `python -m docs.make_reference`: environment variables, or lines of a `.env` file in the
working directory; what the environment says wins, and an empty variable counts as unset. `.env.example` has them
all.
"""


def page() -> str:
    told = [[cell.replace("](docs/", "](../") for cell in row] for row in rows("../README.md", "variable")]
    meanings = {row[0].strip("`"): row[1:] for row in told}
    schema = Settings.model_json_schema()["properties"]
    found = [
        [f"`{_variable(name)}`", _kind(schema[name]), *meanings[_variable(name)]] for name in Settings.model_fields
    ]
    return joined(_HEAD, table(["variable", "type", "default", "meaning"], found))


def _variable(name: str) -> str:
    return f"ROLLOUTS_{name.upper()}"


def _kind(schema: dict[str, object]) -> str:
    secret = " (never shown)" if schema.get("format") == "password" else ""
    return f"{schema.get('format', '') if schema.get('format') == 'path' else schema.get('type', 'string')}{secret}"

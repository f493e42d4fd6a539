"""The first ``.env`` and the first index file of a folder, as texts.

Rule: the names in them come from others. As a value a name is quoted as YAML needs it. In a comment
it is cut and cannot end the line. No value of a record is in these files.
"""

import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from dotenv import dotenv_values

from qdrant_rollouts.core.collections.records import BadRecord
from qdrant_rollouts.core.collections.schema import vector_kind, vector_names, vector_params
from qdrant_rollouts.core.collections.survey import FoundFields, Survey
from qdrant_rollouts.core.config.known_models import FIRST, suggest_models
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.interfaces.cli.screen import printable_text

#: Stands in a line that only a person can complete.
FILL_IN = "fill in:"
QDRANT_KEY = "ROLLOUTS_QDRANT_API_KEY"
_WIDTH = 96
#: Begins a sentence that ends with a file under ``docs/``, which is not in the user's folder.
DOCUMENTS = "The repository of qdrant-rollouts has"
#: A value that every reader of ``.env`` takes as it stands.
_PLAIN_VALUE = re.compile(r"[\w.:/@%+,=~-]+", re.ASCII)
_PLAIN_TEXT = re.compile(r"[A-Za-z][\w/.-]*", re.ASCII)
#: Types of payload indexes by which the gate counts a field's values.
_COUNTED = ("keyword", "integer", "uuid", "bool")
#: Fewer titles would make poor questions.
_ENOUGH_TITLES = 10
#: Names that a comment lists.
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Existing:
    """An index over a collection that is there. ``served``: the alias exists."""

    alias: str
    survey: Survey
    served: bool


@dataclass(frozen=True, slots=True)
class New:
    """An index whose records are elsewhere. ``read``: they were looked at; otherwise the source is
    an example. ``vectors``: each record brings its own. ``bad``: which of those that were looked at
    cannot be deployed."""

    alias: str
    source: str
    fields: FoundFields
    read: bool = True
    vectors: bool = False
    bad: Sequence[BadRecord] = ()


# --- .env -----------------------------------------------------------------------------------------


def list_qdrant_values(settings: Settings) -> dict[str, str]:
    """Returns the variables that lead to the Qdrant of these settings; the key is among them."""
    found = {
        "ROLLOUTS_QDRANT_URL": settings.qdrant_url,
        QDRANT_KEY: settings.qdrant_api_key.get_secret_value(),
        "ROLLOUTS_QDRANT_NODES": ",".join(settings.qdrant_nodes),
    }
    if "qdrant_grpc_port" in settings.model_fields_set:
        found["ROLLOUTS_QDRANT_GRPC_PORT"] = str(settings.qdrant_grpc_port)
    return {name: value for name, value in found.items() if value}


def render_settings(settings: Settings) -> str:
    values = list_qdrant_values(settings)
    lines = [_set_variable(name, value) for name, value in values.items()]
    if not settings.qdrant_url:
        lines = [
            "# Without this, an embedded Qdrant in .rollouts/qdrant is used, by one process at a "
            "time.",
            "#ROLLOUTS_QDRANT_URL=http://localhost:6333",
        ]
    return "\n".join(
        [
            "# Settings of rollouts for this folder. They may hold secrets: keep this file out of",
            "# version control.",
            "",
            *lines,
            "",
            "# Without these, one process does everything, and its state is in .rollouts/state.db.",
            "#ROLLOUTS_DATABASE_URL=postgresql://user:password@host:5432/name",
            "#ROLLOUTS_BROKER_URL=redis://:password@host:6379/0",
            "",
        ]
    )


def _set_variable(name: str, value: str) -> str:
    """Writes no line that would be read as another value, such as one with ``${NAME}``."""
    quoted = value
    if not _PLAIN_VALUE.fullmatch(value):
        quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    line = f"{name}={quoted}"
    if dotenv_values(stream=io.StringIO(line)).get(name) != value:
        return f"# {name} cannot be written here: set it in the environment of every process"
    return line


# --- the index file -------------------------------------------------------------------------------


def render_index_file(
    entries: Sequence[Existing | New], address: str, left_out: Sequence[str]
) -> str:
    """``left_out`` are the names of aliases and collections that were found and have no entry."""
    lines = [
        *_comment(
            f"The indexes that rollouts rebuilds. `rollouts init` wrote this from what it found at "
            f"{address}. What stands behind a # has no effect. `rollouts doctor` checks this file, "
            f"also for keys that do not exist. {DOCUMENTS} every key in docs/index-file.md.",
            0,
        ),
        "",
        "indexes:",
    ]
    for entry in entries:
        part = _render_existing(entry) if isinstance(entry, Existing) else _render_new(entry)
        lines += [*part, ""]
    if left_out:
        names = _join_names(left_out)
        lines += _comment(f"Also found: {names}. `rollouts init --from NAME` writes one of them.")
    return "\n".join(lines).rstrip() + "\n"


def _render_existing(entry: Existing) -> Iterator[str]:
    survey = entry.survey
    name = survey.collection
    if entry.served:
        yield from _comment(f"The alias leads to {name} now: {survey.points:,} points.")
    else:
        yield from _comment(
            f"{name} has {survey.points:,} points and no alias. Before the first deployment, make "
            "this one:"
        )
        command = f"rollouts alias create {shell_word(entry.alias)} {shell_word(name)}"
        yield f"  #   {printable_text(command)}"
    yield from _comment(f"Vectors: {_describe_vectors(survey)}.")
    if survey.payload_indexes:
        told = (f"{field} ({kind})" for field, kind in survey.payload_indexes.items())
        yield from _comment(f"Payload indexes, which new collections get too: {_join_names(told)}.")
    yield f"  {_in_line(entry.alias)}:"
    yield from _comment(
        "`live`: the collection itself has the records. A deployment copies its points, with their "
        "vectors unless a model below makes them anew, and the old collection takes no writes for "
        "a moment at the switch. If the records are elsewhere, such as in jsonl:docs/*.jsonl, name "
        f"that place instead. {DOCUMENTS} more in docs/howto/live-writes.md and docs/sources.md.",
        4,
    )
    yield "    source: live"
    blocks = (_render_makers(survey), _render_validation(survey), _render_retention(survey))
    for block in map(list, blocks):
        yield from ["", *block] if block else []


def _render_makers(survey: Survey) -> Iterator[str]:
    specs = {name: by.embedding or by.server for name, by in survey.made.items()}
    known = {
        name: spec.model_dump(mode="json", exclude_defaults=True, exclude={"vector", "chunk"})
        for name, spec in specs.items()
        if spec is not None
    }
    if known:
        yield from _comment("Read from the collection's own stamp:", 4)
        yield from _as_yaml({"vectors": known}, 4)
    dense = [name for name in _names_of(survey, "dense") if name not in known]
    if not dense:
        return
    yield from _comment(
        "Nothing says which model made the vectors. A deployment copies them without knowing it. "
        "To search by text, name it and remove the # before the first deployment; `rollouts adopt` "
        "then compares it with the stored vectors. Known models: "
        f"{_suggest_by_size(survey, dense)}.",
        4,
    )
    blank = {"model": "MODEL", "text": survey.fields.template or "{text}"}
    if len(dense) == 1 and not known:
        named = {"vector": dense[0]} if dense[0] else {}
        yield _offer_line("embedding", {**blank, **named}, _size_of(survey, dense[0]))
        return
    if not known:
        yield "    #vectors:"
    for name in dense:
        yield _offer_line(name, blank, _size_of(survey, name), indent=2)


def _size_of(survey: Survey, name: str) -> int:
    return int(vector_params(survey.schema, name)["size"])


def _suggest_by_size(survey: Survey, names: Sequence[str]) -> str:
    sizes = dict.fromkeys(_size_of(survey, name) for name in names)
    return "; ".join(
        f"with {size} numbers {', '.join(suggest_models(size)) or 'none'}" for size in sizes
    )


def _offer_line(key: str, value: Mapping[str, Any], size: int = 0, indent: int = 0) -> str:
    """Returns a line that has an effect once a person removes its #. ``size``: it names a model,
    whose vectors have this size."""
    line = f"    #{' ' * indent}{_in_line(key)}: {_in_line(value)}"
    if size:
        line += f"  # {FILL_IN} MODEL, which makes {size} numbers"
    return line


def _render_validation(survey: Survey) -> Iterator[str]:
    counted = survey.payload_indexes
    slices = [name for name in survey.tenant_indexes if counted[name] in _COUNTED]
    guessed = [name for name in survey.fields.tenants if name not in survey.tenant_indexes]
    if slices:
        yield from _comment("No tenant may lose points. Its index says that the field is one:", 4)
        yield from _as_yaml({"validation": {"slices": slices}}, 4)
    elif guessed:
        yield from _comment(
            f"The values of {_join_names(guessed)} repeat. If they are tenants, no tenant may lose "
            "points. Each field needs a payload index.",
            4,
        )
        missing = {
            name: kind
            for name, kind in survey.fields.tenants.items()
            if name in guessed and counted.get(name) not in _COUNTED
        }
        if missing:
            yield _offer_line("collection", {"payload_indexes": missing})
        yield _offer_line("validation", {"slices": guessed})


def _render_retention(survey: Survey) -> Iterator[str]:
    if not survey.made:
        yield from _comment(
            "This program did not make the collection. After a deployment it is deleted, an hour "
            "later and when a complete backup of it exists. To keep it:",
            4,
        )
        yield _offer_line("retention", {"foreign": "keep"})


def _render_new(entry: New) -> Iterator[str]:
    yield from _comment("The alias that applications will search. The first deployment makes it.")
    yield f"  {_in_line(entry.alias)}:"
    (source,) = _as_yaml({"source": entry.source}, 4)
    if entry.read:
        yield source
    else:
        yield from _comment(
            "A record has an `id`, the fields that `text` names, and whatever else you store. "
            f"{DOCUMENTS} every kind of source in docs/sources.md: jsonl, csv, dir, parquet, "
            "sql, sitemap …",
            4,
        )
        yield f"{source}  # {FILL_IN} where your records are"
    if entry.vectors:
        yield from _comment("The records bring their vectors, so no model is declared.", 4)
        return
    yield from _comment(
        f"Makes the vectors of records and of searches. {FIRST} is small and for English. "
        "Applications that embed their searches themselves must use the same model.",
        4,
    )
    template = entry.fields.template or "{text}"
    for line in _as_yaml({"embedding": {"model": FIRST, "text": template}}, 4):
        unknown = not entry.fields.template and line.endswith('"{text}"')
        yield line + f"  # {FILL_IN} the fields to embed; none is a text in all records" * unknown
    yield from _comment(
        "Questions that search must answer. `titles` asks for the titles of up to 50 records; your "
        'own are better: ["how do I …", "…"]',
        4,
    )
    off = "" if entry.fields.title and entry.fields.sampled >= _ENOUGH_TITLES else "#"
    asked = "titles"
    if entry.fields.title not in {"title", "name", "heading", ""}:
        asked = f"{{titles: {entry.fields.title}}}"
    yield f"    {off}validation: {{queries: {asked}}}"


# --- words ----------------------------------------------------------------------------------------


def _describe_vectors(survey: Survey) -> str:
    return _join_names(_describe_vector(survey, name) for name in vector_names(survey.schema))


def _describe_vector(survey: Survey, name: str) -> str:
    params = vector_params(survey.schema, name)
    kind = vector_kind(survey.schema, name)
    told = kind.describe(params)
    if kind.name == "sparse":
        told = "sparse"
    for key in ("distance", "modifier"):
        if params.get(key) not in {None, "none"}:
            told += f", {params[key]}"
    return f"{name or 'unnamed'} ({told})"


def _names_of(survey: Survey, kind: str) -> list[str]:
    schema = survey.schema
    return [name for name in vector_names(schema) if vector_kind(schema, name).name == kind]


def _join_names(names: Any) -> str:
    found = [_as_words(name) for name in names]
    more = len(found) - _MOST_NAMED
    if more > 0:
        found = [*found[:_MOST_NAMED], f"{more:,} more"]
    return ", ".join(found) or "none"


def _as_words(name: str) -> str:
    return shorten_text(printable_text(name))


def _comment(text: str, indent: int = 2) -> Iterator[str]:
    start = f"{' ' * indent}# "
    yield from textwrap.wrap(
        printable_text(text),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _in_quotes(text: str) -> str:
    made: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**9)
    return made.strip()


def _as_yaml(content: Mapping[str, Any], indent: int) -> Iterator[str]:
    for key, value in content.items():
        start = f"{' ' * indent}{_in_line(key)}:"
        if isinstance(value, Mapping) and value:
            yield start
            yield from _as_yaml(value, indent + 2)
        else:
            yield f"{start} {_in_line(value)}"


def _in_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_in_line(key)}: {_in_line(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_in_line, value))}]"
    if isinstance(value, str):
        return value if _is_plain(value) else _in_quotes(value)
    return str(yaml.safe_dump(value)).split("\n", maxsplit=1)[0]


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text as itself without quotes, also inside braces."""
    return bool(_PLAIN_TEXT.fullmatch(text)) and yaml.safe_load(text) == text

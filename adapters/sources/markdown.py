"""Markdown as a record: its text as written, its first heading as title, front matter as fields.

Front matter is YAML between a first line ``---`` and a line ``---`` or ``...``, or TOML between two
lines ``+++``. Two lines ``---`` around text that is not a YAML object are horizontal rules, and so
is a first one before a blank line that no object follows.
"""

import re
import tomllib
from collections.abc import Callable
from datetime import date, datetime, time
from itertools import pairwise
from typing import Any

import yaml
from markdown_it import MarkdownIt

from qdrant_rollouts.core.sanitize.bounded import DEEPEST, BoundedTexts, read_yaml
from qdrant_rollouts.core.sanitize.quoting import describe_yaml_error, error_text

_BLOCKS = MarkdownIt("commonmark").disable("inline")
#: Characters. The heading is looked for only in this first part.
_TITLE_WITHIN = 1 << 16
_LONGEST_FRONT = 100_000
_YAML = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def read_markdown(content: str) -> dict[str, Any]:
    """``text``, ``title`` if there is one, and the front matter's fields, every scalar of them a
    string.

    Raises ValueError for front matter that cannot be read.
    """
    fields, body = split_front_matter(content)
    if not fields.get("title"):
        fields.pop("title", None)
    return {**_find_title(body), **fields, "text": body.strip()}


def split_front_matter(content: str) -> tuple[dict[str, Any], str]:
    """Returns the front matter's fields and the text after it, with LF line ends. Raises ValueError
    for front matter that cannot be read."""
    text = content.replace("\r\n", "\n").replace("\r", "\n")
    for form, fields_of in _FORMS:
        front = form.match(text)
        fields = fields_of(front[1]) if front else None
        if front and fields is not None:
            return fields, text[front.end() :]
    return {}, text


def _find_title(text: str) -> dict[str, str]:
    tokens = _BLOCKS.parse(text[:_TITLE_WITHIN])
    titles = (
        inline.content for opened, inline in pairwise(tokens) if opened.type == "heading_open"
    )
    title = next((title for title in titles if title), "")
    return {"title": title} if title else {}


def _yaml_fields(front: str) -> dict[str, Any] | None:
    """Returns None for text between two horizontal rules: a sentence, or anything but an object
    after a blank line."""
    spaced = front.startswith("\n")
    try:
        fields = _parse_yaml(front)
    except ValueError:
        if spaced:
            return None
        raise
    if isinstance(fields, dict) or not front.strip():
        return fields or {}
    if spaced or isinstance(fields, str):
        return None
    if fields:
        raise ValueError(
            "front matter is not an object; expected lines of NAME: VALUE between two ---"
        )
    return {}


def _parse_yaml(front: str) -> Any:
    """``BaseLoader`` produces only strings, lists and mappings, all of which JSON supports."""
    if len(front) > _LONGEST_FRONT:
        raise ValueError(
            f"front matter has {len(front):,} characters; at most {_LONGEST_FRONT:,} are read"
        )
    try:
        repeats = _has_alias(front)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"front matter is not YAML: {describe_yaml_error(error)}") from None
    if repeats:
        raise ValueError(
            "front matter repeats itself by an alias (*NAME), which could make a few bytes "
            "gigabytes"
        )
    try:
        return read_yaml(front, BoundedTexts)
    except ValueError as error:
        raise ValueError(f"front matter is not YAML: {error}") from None


def _has_alias(front: str) -> bool:
    """Looks no further than ``read_yaml`` reads: each level makes all that follows slower, so
    thousands of them would take minutes."""
    depth = 0
    for event in yaml.parse(front, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.AliasEvent):
            return True
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            break
    return False


def _toml_fields(front: str) -> dict[str, Any]:
    try:
        return {name: _as_strings(value) for name, value in tomllib.loads(front).items()}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"front matter is not TOML: {error_text(error)}") from None


def _as_strings(value: Any) -> Any:
    """Scalars as YAML reads them with that loader: as written, as text."""
    if isinstance(value, dict):
        return {name: _as_strings(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_strings(inner) for inner in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], dict[str, Any] | None]], ...] = (
    (_YAML, _yaml_fields),
    (_TOML, _toml_fields),
)

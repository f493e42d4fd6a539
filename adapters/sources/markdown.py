"""Markdown as a record: the text as it is written, the first heading as its title, front matter as fields."""

import re
from itertools import pairwise
from typing import Any

import yaml
from markdown_it import MarkdownIt

from core.bounded import BoundedTexts, read_yaml
from core.quoting import yaml_problem

_BLOCKS = MarkdownIt("commonmark").disable("inline")
#: Characters. What has no heading by then is no longer looked through for one.
_TITLE_WITHIN = 1 << 16
_LONGEST_FRONT = 100_000
_FRONT = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def read(content: str) -> dict[str, Any]:
    """``text``, ``title`` where there is one, and the front matter's fields, every scalar of them a string.

    Raises ValueError for front matter that cannot be read.
    """
    text = content.replace("\r\n", "\n")
    front = _FRONT.match(text)
    body = text[front.end() :] if front else text
    return {**_title(body), **(_fields(front[1]) if front else {}), "text": body.strip()}


def _title(text: str) -> dict[str, str]:
    tokens = _BLOCKS.parse(text[:_TITLE_WITHIN])
    titles = (inline.content for opened, inline in pairwise(tokens) if opened.type == "heading_open")
    title = next((title for title in titles if title), "")
    return {"title": title} if title else {}


def _fields(front: str) -> dict[str, Any]:
    """``BaseLoader`` knows strings, lists and mappings only: nothing that JSON has no word for."""
    if len(front) > _LONGEST_FRONT:
        raise ValueError(f"front matter has {len(front):,} characters; at most {_LONGEST_FRONT:,} are read")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(front, Loader=yaml.BaseLoader)):
            raise ValueError("front matter repeats itself by an alias (*NAME), which could make a few bytes gigabytes")
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"front matter is not YAML: {yaml_problem(error)}") from None
    try:
        fields = read_yaml(front, BoundedTexts)
    except ValueError as error:
        raise ValueError(f"front matter is not YAML: {error}") from None
    if fields and not isinstance(fields, dict):
        raise ValueError("front matter is no object; expected lines of NAME: VALUE between its two ---")
    return fields or {}

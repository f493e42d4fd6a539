"""Reads YAML that people write, within bounds: a few hundred bytes can expand to gigabytes, or to
more levels than Python supports.

Rule: values are counted while the text is read, each alias with everything that it repeats, and
reading stops when there are too many.
"""

from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import Node, ScalarNode

from qdrant_rollouts.core.sanitize.quoting import describe_yaml_error

#: Maximum number of values, including what aliases repeat, where a long text counts once for each
#: so many characters; of levels; and of characters of a number, date or similar value.
MOST_VALUES = 100_000
ONE_VALUE = 64
DEEPEST = 50
LONGEST_PLAIN = 1_000
_TEXTS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:binary")


class _Bounded:
    """Mixed into a loader. Between parsing and composing nothing is repeated yet."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)  # type: ignore[call-arg]
        self._values = self._depth = 0
        #: By the node's identity, how many values it stands for; nodes live as long as the loader.
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        mark, before = self.peek_event().start_mark, self._values  # type: ignore[attr-defined]
        is_alias = self.check_event(yaml.AliasEvent)  # type: ignore[attr-defined]
        self._depth += 1
        if self._depth > DEEPEST:
            raise ComposerError(None, None, f"more than {DEEPEST} levels stand in each other", mark)
        node: Node | None = super().compose_node(parent, index)  # type: ignore[misc]
        self._depth -= 1
        if is_alias and id(node) not in self._sizes:
            raise ComposerError(None, None, "an alias contains itself", mark)
        self._values += self._sizes[id(node)] if is_alias else _count_values(node)
        if self._values > MOST_VALUES:
            raise ComposerError(
                None,
                None,
                f"too much: over {MOST_VALUES:,} values, with what aliases (*NAME) repeat",
                mark,
            )
        if not is_alias:
            self._sizes[id(node)] = self._values - before
        return node

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        node: ScalarNode = super().compose_scalar_node(anchor)  # type: ignore[misc]
        node.value = _join_surrogates(node.value)
        if node.tag not in _TEXTS and len(node.value) > LONGEST_PLAIN:
            raise ComposerError(
                None,
                None,
                f"a number, date or the like of {len(node.value):,} characters",
                node.start_mark,
            )
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The library's readers of numbers, dates and similar values trust that a value matches its
        tag."""
        try:
            return super().construct_object(node, deep=deep)  # type: ignore[misc]
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise ConstructorError(None, None, f"this is no {kind}", node.start_mark) from error


def _join_surrogates(text: str) -> str:
    """JSON is YAML, and writes letters beyond U+FFFF as two escapes, which PyYAML turns into two
    surrogates."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:  # a single surrogate
        return text


def _count_values(node: Node | None) -> int:
    """Counts the node alone."""
    if not isinstance(node, ScalarNode):
        return 1
    return 1 + len(node.value) // ONE_VALUE


class BoundedLoader(_Bounded, yaml.SafeLoader):
    """Everything that YAML supports: texts, numbers, dates, lists, mappings."""


class BoundedTexts(_Bounded, yaml.BaseLoader):
    """Only texts, lists and mappings."""


def read_yaml(text: str, loader: type[BoundedLoader | BoundedTexts] = BoundedLoader) -> Any:
    """Parses ``text``. Raises ValueError, with a message, if it is not YAML or expands to too
    much."""
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - neither makes objects
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(describe_yaml_error(error)) from error

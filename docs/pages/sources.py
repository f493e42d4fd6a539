"""How to use each kind of source: its module says how, ``docs/sources.md`` has an example of
each."""

import inspect
from types import ModuleType

from docs.pages.markdown import fenced, joined, rows, told
from qdrant_rollouts.adapters import sources
from qdrant_rollouts.adapters.sources import SOURCES

_HEAD = """# Sources, one by one

`python -m docs.make_reference` makes this page from `SOURCES`. [Sources](../sources.md)
explains what all of them have in common: records, bad records, allowed folders.
`--source` of `rollouts deploy` takes the same values as `source` here.
"""


def page() -> str:
    return joined(_HEAD, *(_source(kind) for kind in SOURCES))


def _source(kind: str) -> str:
    return joined(
        f"## {kind}",
        told(module(kind)),
        *(fenced("yaml", _declared(one)) for one in _examples(kind)),
    )


def module(kind: str) -> ModuleType:
    """Where the kind is implemented: the module of what its factory calls."""
    names = SOURCES[kind].__code__.co_names
    found = inspect.getmodule(getattr(sources, names[0]))
    assert found is not None
    return found


def _examples(kind: str) -> list[str]:
    written = [row[0].strip("`") for row in rows("sources.md", "written")]
    return [example for example in written if example.partition(":")[0] == kind]


def _declared(example: str) -> str:
    return f'indexes:\n  documentation:\n    source: "{example}"'

"""Real text that every Python machine has: the standard library's docstrings and the language's
help topics."""

import hashlib
import importlib
import inspect
import warnings
from collections.abc import Iterator
from pydoc_data.topics import topics
from types import ModuleType
from typing import NamedTuple

#: Importing any of these only defines names. One that a later Python has removed is left out.
_MODULES = """
    argparse array asyncio base64 bisect builtins collections concurrent.futures configparser
    contextlib copy csv datetime email.message enum fractions functools getpass glob gzip
    hashlib heapq hmac html http.client inspect io itertools json linecache locale logging math
    multiprocessing os pathlib pickle pprint queue random re secrets select shelve shutil signal
    smtplib sqlite3 statistics string struct subprocess sys tarfile tempfile textwrap threading
    time timeit traceback types typing unittest urllib.parse urllib.request uuid warnings
    weakref webbrowser xml.etree.ElementTree zipfile zlib zoneinfo
"""
#: Characters; a shorter docstring says little more than its name.
_SHORTEST = 100


class Text(NamedTuple):
    """``name`` as in a program, such as ``asyncio.gather``; unique."""

    name: str
    body: str

    @property
    def share(self) -> int:
        """Returns 0 to 99, evenly distributed, and always the same for a text: which part of the
        whole it belongs to."""
        return int.from_bytes(hashlib.blake2b(self.name.encode(), digest_size=8).digest()) % 100


def collect_texts() -> list[Text]:
    """Returns modules, their public classes, functions and methods, then the help topics; each body
    once."""
    by_body: dict[str, str] = {}
    for name, body in (*_module_docstrings(), *_help_topics()):
        if len(body) >= _SHORTEST:
            by_body.setdefault(body, name)
    return [Text(name, body) for body, name in by_body.items()]


def _help_topics() -> Iterator[tuple[str, str]]:
    for name, body in topics.items():
        yield f"help({name!r})", body.strip()


def _module_docstrings() -> Iterator[tuple[str, str]]:
    for name in _MODULES.split():
        module = _import_quietly(name)
        if module is not None:
            yield name, inspect.getdoc(module) or ""
            for attribute in _public_names(module):
                yield from _docstrings_of_member(f"{name}.{attribute}", getattr(module, attribute))


def _import_quietly(name: str) -> ModuleType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module(name)
        except ImportError:
            return None


def _public_names(owner: ModuleType | type) -> list[str]:
    return [name for name in getattr(owner, "__all__", vars(owner)) if not name.startswith("_")]


def _docstrings_of_member(name: str, member: object) -> Iterator[tuple[str, str]]:
    if inspect.isroutine(member) or inspect.isclass(member):
        yield name, inspect.getdoc(member) or ""
    if inspect.isclass(member):
        for attribute in _public_names(member):
            method = vars(member).get(attribute)
            if inspect.isroutine(method):
                yield f"{name}.{attribute}", inspect.getdoc(method) or ""

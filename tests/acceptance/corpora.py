"""Real text on every machine: the standard library's documentation and, on Debian, its package
descriptions.

validation-gate, section 9: sizes vary with the versions, so tests assert only minimum numbers.
"""

import importlib
import inspect
from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

_DPKG = Path("/var/lib/dpkg/status")
#: Modules that can be imported without side effects and are well documented.
_MODULES = (
    *(
        "argparse",
        "array",
        "ast",
        "asyncio",
        "base64",
        "bisect",
        "calendar",
        "cmath",
        "codecs",
        "collections",
    ),
    *(
        "concurrent.futures",
        "configparser",
        "contextlib",
        "copy",
        "csv",
        "ctypes",
        "dataclasses",
        "datetime",
    ),
    *(
        "decimal",
        "difflib",
        "email.message",
        "enum",
        "fnmatch",
        "fractions",
        "ftplib",
        "functools",
        "gettext",
    ),
    *(
        "glob",
        "gzip",
        "hashlib",
        "heapq",
        "hmac",
        "http.client",
        "http.cookiejar",
        "imaplib",
        "inspect",
        "io",
    ),
    *(
        "ipaddress",
        "itertools",
        "json",
        "locale",
        "logging",
        "logging.handlers",
        "mailbox",
        "math",
        "mimetypes",
    ),
    *(
        "multiprocessing",
        "operator",
        "optparse",
        "os",
        "os.path",
        "pathlib",
        "pickle",
        "platform",
        "pprint",
    ),
    *(
        "queue",
        "random",
        "re",
        "sched",
        "selectors",
        "shelve",
        "shlex",
        "shutil",
        "smtplib",
        "socket",
        "sqlite3",
    ),
    *(
        "ssl",
        "statistics",
        "string",
        "struct",
        "subprocess",
        "tarfile",
        "tempfile",
        "textwrap",
        "threading",
        "time",
    ),
    *(
        "tokenize",
        "traceback",
        "types",
        "unittest",
        "unittest.mock",
        "urllib.parse",
        "urllib.request",
    ),
    *("uuid", "warnings", "weakref", "xml.dom.minidom", "xml.etree.ElementTree", "zipfile", "zlib"),
)
#: The least lengths, in characters, of a docstring with content, of a title that can be a query,
#: and of a text that is embedded.
_SHORTEST = 80
_TITLE = 25
_LONGEST = 400

Record = dict[str, Any]


def records(limit: int = 1500) -> list[Record]:
    """Returns records with ``id``, ``title``, ``text``, ``lang``, ``module`` and ``density`` (a
    number of many digits), in the same order each time; half of each corpus if both exist. No two
    have the same text."""
    mixed = chain.from_iterable(zip_longest(docstrings(), packages()))
    return list(islice(_once(record for record in mixed if record is not None), limit))


def judged(records: list[Record], n: int) -> list[dict[str, object]]:
    """Returns known items: a title should find its record. Titles that two records share are left
    out."""
    titles = [record["title"] for record in records]
    known = (
        record
        for record in records
        if len(record["title"]) > _TITLE and titles.count(record["title"]) == 1
    )
    return [{"query": record["title"], "relevant": [record["id"]]} for record in islice(known, n)]


def docstrings() -> Iterator[Record]:
    """Yields the docstrings of public classes, functions and methods. The modules take turns, so
    that a few records come from all of them."""
    turns = zip_longest(*(_documented(importlib.import_module(name)) for name in _MODULES))
    for name, module, doc in filter(None, chain.from_iterable(turns)):
        title, _, text = doc.partition("\n")
        if len(doc) > _SHORTEST and text.strip():
            yield _record(name, title, text, "python", module)


def packages() -> Iterator[Record]:
    """Yields installed packages with their long descriptions; nothing if the system is not
    Debian."""
    status = _DPKG.read_text(encoding="utf-8") if _DPKG.exists() else ""
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line[:1].strip() and ": " in line
        )
        _, _, rest = paragraph.partition("\nDescription: ")
        lines = [line for line in rest.splitlines()[1:] if line.startswith(" ")]
        text = " ".join("" if line == " ." else line.strip() for line in lines[: _described(rest)])
        if len(text) > _SHORTEST:
            yield _record(
                f"deb:{fields['Package']}",
                fields["Description"],
                text,
                "debian",
                fields.get("Section", ""),
            )


def _described(rest: str) -> int:
    """Returns the number of lines of the long description. It ends before the first line that is
    not indented."""
    lines = rest.splitlines()[1:]
    return next(
        (number for number, line in enumerate(lines) if not line.startswith(" ")), len(lines)
    )


def _documented(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """Yields name, module and docstring of what the module itself defines, methods after their
    class."""
    for name, thing in sorted(vars(module).items()):
        if name.startswith("_") or not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        yield from _doc(module.__name__, name, thing)
        for method, routine in sorted(vars(thing).items()) if inspect.isclass(thing) else ():
            if not method.startswith("_") and inspect.isroutine(routine):
                yield from _doc(module.__name__, f"{name}.{method}", routine)


def _doc(module: str, name: str, thing: object) -> Iterator[tuple[str, str, str]]:
    if doc := inspect.getdoc(thing):
        yield f"{module}.{name}", module, doc


def _record(id: str, title: str, text: str, lang: str, module: str) -> Record:
    text = text.strip()[:_LONGEST]
    density = len(set(text.split())) / len(text)
    return {
        "id": id,
        "title": title.strip(),
        "text": text,
        "lang": lang,
        "module": module,
        "density": density,
    }


def _once(found: Iterator[Record]) -> Iterator[Record]:
    """Removes duplicates: a module documents objects again that it imports, and some methods
    inherit docstrings."""
    seen: set[str] = set()
    for record in found:
        words = f"{record['title']}\n{record['text']}"
        if words not in seen and not seen.add(words):
            yield record

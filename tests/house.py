"""Figures about the style of the code: ``python -m tests.house`` prints those that got worse than
the stored ones, and in a terminal all of them.

Rule: a figure may get better at any time, but never worse; ``python -m tests.house --write`` stores
the current figures. A figure cannot tell whether a name is good: it counts names that leave out the
object, or the verb.
"""

import ast
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRITTEN = Path(__file__).with_name("house.json")
FOLDERS = ("core", "adapters", "tasks", "interfaces", "migrations")
FILES = ("wiring.py", "beat_schedule.py")
#: Participles that do not end in "ed".
IRREGULAR = {
    "begun", "bound", "brought", "built", "chosen", "drawn", "fallen", "forgotten", "found",
    "given", "gone", "grown",
    "held", "hidden", "kept", "known", "left", "lost", "made", "meant", "met", "paid", "said",
    "seen", "sent", "shown",
    "spent", "taken", "thought", "told", "understood", "written",
}  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


def product_files(root: Path = ROOT) -> list[Path]:
    folders = (path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    return sorted([*folders, *(root / name for name in FILES)])


def figures(files: Iterable[Path]) -> dict[str, float]:
    """Returns each figure by its name; smaller is better. Shares are in percent."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    trees = [ast.parse(text) for text in texts]
    lines = [line for text in texts for line in text.splitlines()]
    names = [function.name for function in _functions(trees) if not _has_another_rule(function)]
    assignments = list(_nodes(trees, ast.Assign))
    lengths = sorted(_length(function) for function in _functions(trees))
    conditionals = list(_nodes(trees, ast.IfExp))
    return {
        "lines": len(lines),
        "function length, median": statistics.median(lengths),
        "function length, 90 of 100": lengths[len(lengths) * 9 // 10],
        "function length, longest": lengths[-1],
        "function names of one word, %": _share(names, lambda name: "_" not in name.strip("_")),
        "function names that are a bare participle, %": _share(names, is_participle),
        "names defined in four or more files": len(_widespread(trees)),
        "parallel assignments, %": _share(assignments, _is_parallel),
        "conditional expressions in 1,000 lines": 1000 * len(conditionals) / len(lines),
        "conditional expressions within one another": sum(map(_is_nested, conditionals)),
        "lines over 100 characters, %": _share(lines, lambda line: len(line) > 100),
    }


def is_participle(name: str) -> bool:
    name = name.strip("_")
    return "_" not in name and (
        name in IRREGULAR or (name.endswith(("ed", "ing")) and len(name) > 4)
    )


def _functions(trees: Iterable[ast.Module]) -> Iterator[Function]:
    for tree in trees:
        yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def _has_another_rule(function: Function) -> bool:
    """Returns whether another rule names the function: a property is named like a thing, and
    ``__enter__`` is named by Python."""
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    return function.name.endswith("__") or bool(
        decorators & {"property", "cached_property", "override"}
    )


def _nodes(trees: Iterable[ast.Module], kind: type[ast.AST]) -> Iterator[ast.AST]:
    for tree in trees:
        yield from (node for node in ast.walk(tree) if isinstance(node, kind))


def _length(function: Function) -> int:
    """Returns the number of lines from ``def`` to the end, without the docstring."""
    first = function.body[0]
    docstring = 0
    if ast.get_docstring(function, clean=False) is not None:
        docstring = (first.end_lineno or 0) - first.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def _share(found: list, fits: Callable) -> float:
    return 100 * sum(map(fits, found)) / max(1, len(found))


def _widespread(trees: Iterable[ast.Module]) -> set[str]:
    """Returns the names of functions and methods that four or more modules define. The methods of a
    port have one meaning, however many modules implement it. The functions of a migration are those
    that Alembic calls. Neither counts."""
    trees = list(trees)
    promised = {function.name for function in _functions(_ports(trees))} | {"upgrade", "downgrade"}
    homes = defaultdict(set)
    for number, tree in enumerate(trees):
        for function in _functions([tree]):
            if not _has_another_rule(function) and function.name not in promised:
                homes[function.name].add(number)
    return {name for name, where in homes.items() if len(where) >= 4}


def _ports(trees: Iterable[ast.Module]) -> Iterator[ast.ClassDef]:
    for node in _nodes(trees, ast.ClassDef):
        if any(ast.unparse(base).startswith("Protocol") for base in node.bases):
            yield node


def _is_parallel(node: ast.AST) -> bool:
    """Returns whether this is ``a, b = x, y``. Unpacking the result of a function is allowed."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    )


def _is_nested(node: ast.AST) -> bool:
    return any(isinstance(child, ast.IfExp) for child in ast.walk(node) if child is not node)


def measure() -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures(product_files()).items()}


def find_worse(found: dict[str, float]) -> set[str]:
    """Returns the names of figures that are worse than the stored ones. More lines do not count."""
    written = json.loads(WRITTEN.read_text(encoding="utf-8"))
    return {name for name in found if name != "lines" and found[name] > written.get(name, 0)}


def main() -> int:
    found = measure()
    if "--write" in sys.argv:
        WRITTEN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    written = json.loads(WRITTEN.read_text(encoding="utf-8"))
    worse = find_worse(found)
    for name in found if sys.stdout.isatty() else sorted(worse):
        mark = "  worse" if name in worse else ""
        sys.stdout.write(f"{name:<48} {found[name]:>8} {written.get(name, 0):>8}{mark}\n")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())

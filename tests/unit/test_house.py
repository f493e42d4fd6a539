"""The style figures, checked by machine. Each rule is also shown a piece of code that breaks it."""

import ast
import importlib.metadata
import re
import statistics
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import house

ROOT = Path(__file__).parents[2]
#: The top level of the repository. Everything importable is ``qdrant_rollouts.…``; see
#: docs/understand/rooms.md.
OWN = {
    "core",
    "adapters",
    "tasks",
    "interfaces",
    "migrations",
    "wiring",
    "beat_schedule",
    "benchmarks",
    "docs",
}
PACKAGE = "qdrant_rollouts"
#: What stands beside the product and is not installed with it.
BESIDE = {"benchmarks", "docs"}
LONGEST = 60
MEDIAN = 8
BROAD = {"Exception", "BaseException"}
#: File -> how many broad excepts it may have, and why.
BROAD_ALLOWED = {
    "adapters/write_requests.py": (
        1,
        "a request's error goes to whoever sent it, with its meaning",
    ),
    "adapters/writing_client_async.py": (1, "the same"),
    "core/routing/calls.py": (
        4,
        "an application's function may throw anything; blue is asked, or it is thrown again",
    ),
    "core/routing/link.py": (1, "the threads of a router must not end, whatever their work throws"),
    "core/routing/limited_calls.py": (1, "what a thread throws is thrown again in the caller's"),
    "core/routing/router.py": (3, "the same as in calls.py, which these errors are given to"),
    "core/routing/shadow.py": (1, "a copy of an application's search may throw anything"),
    "core/deployments/steps/long.py": (1, "an error of a thread is raised by the turn that waits"),
    "core/journal/running.py": (1, "a step's error goes back into the generator that asked for it"),
    "core/deployments/turn_runs.py": (
        1,
        "the step boundary: whatever a step throws must end in its row",
    ),
    "core/deployments/turn_log.py": (
        2,
        "a record that cannot be formatted, or not be stored, must not cost the turn that wrote it",
    ),
    "core/deployments/steps/kept_estimate.py": (
        1,
        "an estimate must not end the deployment that it is about",
    ),
    "core/deployments/commands/planning.py": (
        1,
        "an operator's own function may throw anything, and a plan says where it did",
    ),
    "core/experiments/following.py": (
        1,
        "what a treatment throws must end in its row too, or it is tried again at once for ever",
    ),
    "adapters/shelf_remote.py": (
        1,
        "fsspec's filesystems throw what the libraries behind them throw",
    ),
    "adapters/sources/function.py": (1, "an operator's own function may throw anything"),
    "adapters/celery.py": (
        1,
        "the boundary of a task: what it raises is stored and shown, whatever it is",
    ),
    "core/alerts/deliveries.py": (
        1,
        "the fan-out of alerts: one channel's fault must be in its row and stop no other",
    ),
}

Offences = Iterator[str]
Rule = Callable[[ast.Module], Offences]


def product_files() -> list[Path]:
    return sorted(
        path for name in OWN for path in (*ROOT.glob(f"{name}.py"), *ROOT.glob(f"{name}/**/*.py"))
    )


def files_of_tests() -> list[Path]:
    return sorted(
        path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts
    )


def offences(rule: Rule, files: list[Path]) -> list[str]:
    found = [
        (path, offence)
        for path in files
        for offence in rule(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    ]
    return [f"{path.relative_to(ROOT)}: {offence}" for path, offence in found]


# --- rules ----------------------------------------------------------------------------------------


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function that does something; a Protocol's or an overload's ``...`` is a signature, not
    a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body and not (len(body) == 1 and ast.unparse(body[0]) == "..."):
                yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    without = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - without


def long_functions(tree: ast.Module) -> Offences:
    for function in functions(tree):
        if length(function) > LONGEST:
            yield f"{function.name} has {length(function)} lines, {LONGEST} are allowed; split it"


def broad_excepts(tree: ast.Module) -> Offences:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = ast.Tuple(node.args)
        else:
            continue
        if caught is None or BROAD & {
            part.id for part in ast.walk(caught) if isinstance(part, ast.Name)
        }:
            yield f"line {node.lineno} catches everything; name what can be thrown"


def sleeping_loops(tree: ast.Module) -> Offences:
    for loop in ast.walk(tree):
        if isinstance(loop, ast.For | ast.While | ast.AsyncFor):
            for node in ast.walk(loop):
                if isinstance(node, ast.Call) and re.fullmatch(
                    r"(\w+\.)?sleep", ast.unparse(node.func)
                ):
                    yield f"line {node.lineno} sleeps in a loop; answer Wait, or wait on an event"


def stubs(tree: ast.Module) -> Offences:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
            yield f"line {node.lineno} offers what is not there; list only what works"


def uncut_values(tree: ast.Module) -> Offences:
    """A constant of ours in capitals or a dunder is no value that somebody gave."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
            written = ast.unparse(node.value)
            if not (written.isupper() or written.startswith("__")):
                yield (
                    f"line {node.lineno} shows {written} whole; "
                    f"core.sanitize.quoting.quote_value cuts it"
                )


def patches_of_own_code(tree: ast.Module) -> Offences:
    own = {name for name, module in imports(tree) if _top(module) in OWN | {PACKAGE}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _replaces(ast.unparse(node.func)):
            targets = node.args[:1]
        elif isinstance(node, ast.Assign):
            targets = [target for target in node.targets if isinstance(target, ast.Attribute)]
        else:
            continue
        if any(_is_own(target, own) for target in targets):
            yield f"line {node.lineno} patches our own code; make it an argument"


def changes_of_frozen_objects(tree: ast.Module) -> Offences:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("object.__setattr__"):
            yield (
                f"line {node.lineno} changes what is frozen; "
                f"replace it, as World.change_services does"
            )


def imports_of_users(tree: ast.Module) -> Offences:
    for _, module in imports(tree):
        if _top(module) in {"interfaces", "tasks"}:
            yield f"imports {module}, which is made from it"


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, and the module it comes from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                (alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names
            )
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, node.module or "") for alias in node.names)


def _top(module: str) -> str:
    """The folder of the repository that a module of ours is in; of a library, its name."""
    return module.removeprefix(f"{PACKAGE}.").split(".")[0]


def _replaces(function: str) -> bool:
    return bool(re.search(r"(^|\.)(patch(\.object|\.dict|\.multiple)?|setattr|setitem)$", function))


def _is_own(target: ast.expr, own: set[str]) -> bool:
    if isinstance(target, ast.Constant):
        return _top(str(target.value)) in OWN | {PACKAGE}
    return bool(own & {part.id for part in ast.walk(target) if isinstance(part, ast.Name)})


# --- the house ------------------------------------------------------------------------------------


def test_no_figure_of_the_house_gets_worse():
    assert house.find_worse(house.measure()) == set()


@pytest.mark.parametrize(
    ("figure", "code"),
    [
        ("function names of one word, %", "def told(x):\n    return x"),
        ("function names that are a bare participle, %", "def _listed(x):\n    return x"),
        ("parallel assignments, %", "a, b = 1, 2"),
        ("conditional expressions in 1,000 lines", "a = 1 if b else 2"),
        ("conditional expressions within one another", "a = 1 if b else 2 if c else 3"),
        ("lines over 100 characters, %", f"a = {'1' * 100}"),
    ],
)
def test_a_figure_counts_what_it_is_called_by(tmp_path, figure, code):
    (tmp_path / "worse.py").write_text(f"{code}\n", encoding="utf-8")
    (tmp_path / "better.py").write_text("def list_names(x):\n    return x\n", encoding="utf-8")
    both = house.figures([tmp_path / "worse.py", tmp_path / "better.py"])
    assert both[figure] > house.figures([tmp_path / "better.py"] * 2)[figure] == 0


def test_no_function_is_longer_than_a_page():
    assert offences(long_functions, product_files()) == []


def test_the_median_function_is_short():
    lengths = [
        length(function)
        for path in product_files()
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert statistics.median(lengths) <= MEDIAN


def test_nothing_is_caught_broadly_but_where_it_must_be():
    found = offences(broad_excepts, product_files())
    allowed = [f"{path}: " for path, (count, _) in BROAD_ALLOWED.items() for _ in range(count)]
    for path in allowed:
        found.remove(next(offence for offence in found if offence.startswith(path)))
    assert found == []


def test_no_loop_of_the_product_sleeps():
    assert offences(sleeping_loops, product_files()) == []


def test_nothing_is_left_for_later():
    assert offences(stubs, product_files()) == []
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [
        str(path) for path in product_files() if later.search(path.read_text(encoding="utf-8"))
    ] == []


def test_no_message_shows_a_value_whole():
    ours = [
        path
        for path in product_files()
        if path.relative_to(ROOT).parts[0] not in BESIDE | {"migrations"}
    ]
    assert offences(uncut_values, [path for path in ours if "demo" not in path.parts]) == []


def test_no_test_patches_our_own_code():
    assert offences(patches_of_own_code, files_of_tests()) == []


def test_no_test_changes_what_is_frozen():
    assert offences(changes_of_frozen_objects, files_of_tests()) == []


def test_wiring_asks_neither_interfaces_nor_tasks():
    """import-linter sees packages only, and wiring is a single module."""
    assert offences(imports_of_users, [ROOT / "wiring.py"]) == []


def test_every_library_the_product_imports_is_declared():
    project = _read_project()
    extras = project["optional-dependencies"]
    declared = _names([*project["dependencies"], *extras["demo"], *extras["local"]])
    providers = importlib.metadata.packages_distributions()
    undeclared = {
        name
        for name in _imported_libraries()
        if not declared & {_normal(by) for by in providers.get(name, [])}
    }
    assert undeclared == set()


#: Flower is a command of Celery; tzdata is data.
NEVER_IMPORTED = {"flower", "tzdata"}


def test_every_library_that_a_plain_install_brings_is_imported():
    providers = importlib.metadata.packages_distributions()
    used = {_normal(by) for name in _imported_libraries() for by in providers.get(name, [])}
    assert _names(_read_project()["dependencies"]) - used == NEVER_IMPORTED


def _read_project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _names(requirements):
    return {_normal(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def _imported_libraries():
    found = {
        module.split(".")[0]
        for path in product_files()
        if path.relative_to(ROOT).parts[0] not in BESIDE
        for _, module in imports(ast.parse(path.read_text(encoding="utf-8")))
    }
    return found - OWN - {PACKAGE} - sys.stdlib_module_names


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_the_package_holds_the_whole_product_and_nothing_else():
    package = ROOT / "src" / PACKAGE
    links = {path.name.removesuffix(".py"): path for path in package.iterdir() if path.is_symlink()}
    assert set(links) == OWN - BESIDE
    for path in links.values():
        assert path.readlink() == Path("..", "..", path.name)
    here = {
        path.name
        for path in package.iterdir()
        if not path.is_symlink() and path.name != "__pycache__"
    }
    assert here == {"__init__.py", "checkout.py"}


# --- the rules bite -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (long_functions, "def f():\n" + "    x = 1\n" * LONGEST),
        (long_functions, "class A:\n    async def f(self):\n" + "        x = 1\n" * LONGEST),
        (broad_excepts, "try:\n    f()\nexcept Exception:\n    pass"),
        (broad_excepts, "try:\n    f()\nexcept:\n    pass"),
        (broad_excepts, "try:\n    f()\nexcept (ValueError, BaseException) as error:\n    pass"),
        (broad_excepts, "with contextlib.suppress(Exception):\n    f()"),
        (sleeping_loops, "while True:\n    if x:\n        time.sleep(1)"),
        (sleeping_loops, "for _ in y:\n    sleep(1)"),
        (stubs, "def f():\n    raise NotImplementedError"),
        (stubs, "raise NotImplementedError('s3 comes later') from None"),
        (uncut_values, "raise Refused(f'alias {alias!r} is not known')"),
        (
            patches_of_own_code,
            "monkeypatch.setattr('qdrant_rollouts.core.deployments.engine.advance', fake)",
        ),
        (
            patches_of_own_code,
            "from qdrant_rollouts.core import engine\nmonkeypatch.setattr(engine, 'advance', fake)",
        ),
        (
            patches_of_own_code,
            "from qdrant_rollouts.adapters.qdrant import Qdrant as Q\nmock.patch.object(Q, "
            "'aliases')",
        ),
        (patches_of_own_code, "patch('qdrant_rollouts.wiring.services')"),
        (
            patches_of_own_code,
            "import qdrant_rollouts.core.deployments.engine\n"
            "monkeypatch.setattr(qdrant_rollouts.core.deployments.engine, 'advance', fake)",
        ),
        (
            patches_of_own_code,
            "from qdrant_rollouts.core.deployments.engine import TABLE\nmonkeypatch.setitem(TABLE, "
            "'x', fake)",
        ),
        (patches_of_own_code, "from qdrant_rollouts.core import engine\nengine.advance = fake"),
        (changes_of_frozen_objects, "object.__setattr__(world.services, 'times', times)"),
        (imports_of_users, "def f():\n    from qdrant_rollouts.tasks.app import app"),
        (imports_of_users, "import qdrant_rollouts.interfaces.cli as cli"),
    ],
)
def test_a_breach_is_found(rule, code):
    assert list(rule(ast.parse(code))) != []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (long_functions, "def f():\n    '''" + "why\n" * LONGEST + "'''\n    return 1"),
        (broad_excepts, "try:\n    f()\nexcept ValueError:\n    pass"),
        (sleeping_loops, "while not stopped.wait(1):\n    f()"),
        (stubs, "try:\n    f()\nexcept NotImplementedError:\n    pass"),
        (uncut_values, "f'alias {quoted(alias)}, field {FIELD!r}'"),
        (patches_of_own_code, "monkeypatch.setattr(socket.socket, 'connect', refuse)"),
        (patches_of_own_code, "monkeypatch.setenv('ROLLOUTS_CONFIG', 'x')"),
        (
            patches_of_own_code,
            "from qdrant_rollouts.core import plan\nself.plan = plan.Step('create')",
        ),
        (changes_of_frozen_objects, "world.change_services(times=times)"),
        (imports_of_users, "import qdrant_rollouts.adapters.qdrant"),
    ],
)
def test_good_code_is_left_alone(rule, code):
    assert list(rule(ast.parse(code))) == []


def test_a_signature_without_a_body_counts_as_no_function():
    assert (
        list(
            functions(
                ast.parse(
                    "class P(Protocol):\n    def f(self): ...\n    def g(self):\n        '''Why.'''"
                )
            )
        )
        == []
    )

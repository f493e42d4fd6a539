"""``python -m benchmarks [NAME…]``: runs the benchmarks and prints their tables; exit code 1 if a
bound was missed."""

import argparse
import inspect
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from rich.console import Console

from benchmarks import (
    backup,
    compare,
    crowd,
    delta,
    embedding,
    experiments,
    gaps,
    gate,
    http,
    journal,
    machine,
    memory,
    nightly,
    pages,
    rebuild,
    routing,
    slices,
    starting,
    streaming_copy,
)
from benchmarks.report import Report, page, show, show_facts
from benchmarks.results import Size

BENCHMARKS: dict[str, ModuleType] = {
    "start": starting,
    "embedding": embedding,
    "rebuild": rebuild,
    "nightly": nightly,
    "delta": delta,
    "slices": slices,
    "copy": streaming_copy,
    "backup": backup,
    "gap": gaps,
    "compare": compare,
    "journal": journal,
    "gate": gate,
    "routing": routing,
    "http": http,
    "experiments": experiments,
    "memory": memory,
    "pages": pages,
    "crowd": crowd,
}


def main() -> int:
    arguments = _arguments()
    os.environ["HF_HUB_OFFLINE"] = "1"
    console = Console(width=None if sys.stdout.isatty() else 160)
    facts = machine.facts()
    show_facts(console, facts)
    reports = [_run(console, name, Size(arguments.size)) for name in arguments.names or BENCHMARKS]
    if arguments.write:
        command = " ".join(["python -m benchmarks", *sys.argv[1:]])
        arguments.write.write_text(
            page(command, f"{datetime.now(UTC):%Y-%m-%d}", facts, reports), encoding="utf-8"
        )
    return 1 if any(report.missed for report in reports) else 0


def _run(console: Console, name: str, size: Size) -> Report:
    module = BENCHMARKS[name]
    load = machine.load()
    results = module.run(size)
    if size is Size.SMALLEST:
        results = [replace(result, bound="", ok=None) for result in results]
    report = Report(name, inspect.getdoc(module) or "", load, results)
    show(console, report)
    return report


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join(BENCHMARKS)}; all, if none is named",
    )
    parser.add_argument(
        "--size",
        choices=list(Size),
        default=Size.FULL,
        help="ci: fewer records and rounds; smallest: no bound is held",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="the tables as a page of Markdown too"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    return arguments


if __name__ == "__main__":
    sys.exit(main())

"""Runs one benchmark by itself: ``python -m benchmarks.NAME``."""

import argparse
import inspect
from dataclasses import replace

from rich.console import Console

from benchmarks import machine
from benchmarks.report import Report, show
from benchmarks.results import Run, Size


def run_alone(name: str, run: Run) -> int:
    """Prints the table. Returns 1 if a bound was missed."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--size", choices=list(Size), default=Size.FULL)
    size = Size(parser.parse_args().size)
    load = machine.load()
    results = run(size)
    if size is Size.SMALLEST:
        results = [replace(result, bound="", ok=None) for result in results]
    report = Report(name, inspect.getdoc(inspect.getmodule(run)) or "", load, results)
    show(Console(width=160), report)
    return 1 if report.missed else 0

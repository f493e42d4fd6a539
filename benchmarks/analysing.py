"""The process that analyses: ``python -m benchmarks.analysing FOLDER QDRANT_URL GRPC_PORT
DATABASE_URL EXPERIMENT``.

Prints the seconds that the report took, the users in it, and the resident memory before it and at
most in it, in MB.
"""

import json
import re
import sys
import time
from pathlib import Path

import scipy.stats

from benchmarks.experiments import open_installation
from qdrant_rollouts.core.experiments import queries

#: Whoever analyses has it; loading it is not analysing.
assert scipy.stats
#: Forgets what the process needed at most so far: what it inherited or imported is not the
#: report's.
_RESET = Path("/proc/self/clear_refs")


def main(*arguments: str) -> None:
    *places, experiment = arguments
    installation = open_installation(*places)
    installation.services.store.collections()
    _RESET.write_text("5", encoding="ascii")
    before = _most()
    started = time.perf_counter()
    report = queries.report_experiment(installation.services, experiment)
    taken = time.perf_counter() - started
    print(
        json.dumps({"seconds": taken, "units": report["units"], "before": before, "most": _most()})
    )
    installation.close()


def _most() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The process whose memory is watched: ``python -m benchmarks.populating FOLDER QDRANT_URL
GRPC_PORT ALIAS``.

Says when everything is put together, waits for a line, deploys, and prints the seconds spent in
each step.
"""

import json
import sys
from pathlib import Path

from benchmarks.installation import Installation, settings


def main(folder: str, qdrant_url: str, grpc_port: str, alias: str) -> None:
    installation = Installation(settings(Path(folder), qdrant_url, int(grpc_port)))
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(installation.deploy(alias)))
    installation.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

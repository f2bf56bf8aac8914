"""Serve the mock on a loopback port: `python -m pipeline.verify.mock PORT READY PATH CONTENT CALLS`.

READY is a file made once connections are taken; CALLS is 0 for a mock that calls no tool, to see a test fail.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn

from pipeline.verify.mock.app import Mock
from pipeline.verify.mock.turns import Task


def main(port: str, ready: str, path: str, content: str, calls: str) -> None:
    """Serve until the process is ended."""
    # Bound here: from now on connections wait instead of being refused.
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
    Path(ready).touch()
    task = Task(path, content, calls_tools=calls != "0", exists=Path(path).exists())
    config = uvicorn.Config(Mock(task), log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])

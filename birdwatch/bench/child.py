"""Run a command and print what it cost as JSON: a small process between, whose own memory hides nothing.

On Linux a process starts with the memory peak of the one that started it, so a benchmark that holds arrays cannot
measure a child of its own: it asks this module, run with `python -m birdwatch.bench.child COMMAND ...`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

__all__ = ["ChildCost", "child_cost"]


@dataclass(frozen=True, slots=True)
class ChildCost:
    """A finished process: its seconds, its largest resident memory in bytes (None: unknown here), and its stderr."""

    wall_s: float
    cpu_s: float
    memory_bytes: int | None
    status: int
    said: str


def child_cost(command: list[str]) -> ChildCost:
    """What it costs to run `command` from its start to its end. Its output is thrown away, its stderr kept."""
    ran = subprocess.run(
        [sys.executable, "-m", "birdwatch.bench.child", *command], stdout=subprocess.PIPE, text=True, check=True
    )
    return ChildCost(**json.loads(ran.stdout))


def main(command: list[str]) -> None:
    """Run it and print a ChildCost."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    said = child.stderr.read()
    cpu_s, memory = float("nan"), None
    if hasattr(os, "wait4"):
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        # In bytes on macOS, in KiB on Linux.
        cpu_s, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    status = child.wait()
    cost = {"wall_s": time.perf_counter() - began, "cpu_s": cpu_s, "memory_bytes": memory}
    print(json.dumps({**cost, "status": status, "said": said[-2000:]}))


if __name__ == "__main__":
    main(sys.argv[1:])

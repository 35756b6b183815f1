"""Runs a command and prints its wall time, processor time and peak memory as JSON.

On Linux a child inherits its parent's memory peak, so a benchmark that holds arrays cannot measure a child directly. It
starts this small module in between: `python -m birdwatch.bench.child COMMAND ...`.
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
    """A finished process: its seconds, its peak resident memory in bytes (None where unknown), and its stderr."""

    wall_s: float
    cpu_s: float
    memory_bytes: int | None
    status: int
    stderr: str


def child_cost(command: list[str]) -> ChildCost:
    """The cost of running `command` to its end. Its stdout is discarded, its stderr kept."""
    ran = subprocess.run(
        [sys.executable, "-m", "birdwatch.bench.child", *command], stdout=subprocess.PIPE, text=True, check=True
    )
    return ChildCost(**json.loads(ran.stdout))


def main(command: list[str]) -> None:
    """Run `command` and print a ChildCost."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    errors = child.stderr.read()
    cpu_s, memory = float("nan"), None
    if hasattr(os, "wait4"):
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        # In bytes on macOS, in KiB on Linux.
        cpu_s, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    status = child.wait()
    cost = {"wall_s": time.perf_counter() - began, "cpu_s": cpu_s, "memory_bytes": memory}
    print(json.dumps({**cost, "status": status, "stderr": errors[-2000:]}))


if __name__ == "__main__":
    main(sys.argv[1:])

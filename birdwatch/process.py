"""Resources of this process: cores, memory, processor time, threads, open files."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

# At the top, not where it is needed: importing takes a descriptor, and there may be none left.
if sys.platform != "win32":
    import resource

__all__ = ["cores", "cpu_s", "free_descriptors", "open_files", "rss_mb", "threads"]

# Where the system sets no limit.
MANY_DESCRIPTORS = 1 << 20


def cores() -> int:
    """Processors that this process may run on; taskset, containers and batch systems limit them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def rss_mb() -> float:
    """Resident memory in megabytes (10**6 bytes): current on Linux, the peak elsewhere, 0 on Windows."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        if sys.platform == "win32":
            return 0.0
        # Kilobytes, except that macOS counts bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s() -> float:
    """Seconds of processor time used so far by all threads."""
    times = os.times()
    return times.user + times.system


def open_files() -> int:
    """Open file descriptors; 0 where the system does not report them."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0


def free_descriptors() -> int:
    """Descriptors that this process may still open."""
    if sys.platform == "win32":
        return MANY_DESCRIPTORS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MANY_DESCRIPTORS if limit == resource.RLIM_INFINITY else limit - open_files()


def threads() -> int:
    """Threads of the process, including those of native libraries where the system reports them."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return threading.active_count()

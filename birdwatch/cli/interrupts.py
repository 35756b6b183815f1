"""SIGINT and SIGTERM end the program even while its main thread is inside a network that never returns.

Python calls signal handlers between bytecode instructions, so not while ONNX Runtime computes. A thread that waits on
the signals' wake-up descriptor terminates such runs if the ordinary shutdown has not succeeded in time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

__all__ = ["watch_interrupts"]

# The daemon flushes for 3 s, and must have ended after 5.
GRACE_S = 3.5
AGAIN_S = 0.2


def watch_interrupts() -> None:
    """Start the thread; from the main thread, once."""
    if sys.platform == "win32":
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), name="interrupts", daemon=True).start()


def _watch(read: int) -> None:
    ending = threading.Event()
    interrupts = 0
    while numbers := os.read(read, 16):
        interrupts += numbers.count(signal.SIGINT)
        if interrupts > 1:
            # A second Ctrl-C: now.
            _terminate_runs()
        if not ending.is_set() and (interrupts or signal.SIGTERM in numbers):
            ending.set()
            threading.Thread(target=_end_runs, name="end-runs", daemon=True).start()


def _end_runs() -> None:
    pause = threading.Event()
    pause.wait(GRACE_S)
    # Repeatedly: other windows may wait for the same network.
    while True:
        _terminate_runs()
        pause.wait(AGAIN_S)


def _terminate_runs() -> None:
    # Not imported here: a command without a network has not loaded ONNX Runtime.
    session = sys.modules.get("birdwatch.model.session")
    if session is not None:
        session.terminate_runs()

"""Limits what sound libraries print to stderr, and reports the number of lines left out.

PortAudio's thread may write 140 000 lines a second once its sound server is gone, until the process ends.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import sys
import threading
import time

__all__ = ["bound_library_messages"]

log = logging.getLogger(__name__)

# Opening a device makes ALSA and JACK write some fifty lines.
LINES, PERIOD_S = 200, 10.0
READ_BYTES = 1 << 16
# While lines are left out, their writer finds its pipe full for so long, and drops what does not fit.
PAUSE_S = 0.05


def bound_library_messages() -> None:
    """From now on to the end of the process, bound what is written to file descriptor 2.

    Python's own sys.stderr, which has to be on a descriptor of its own (standard_streams), is not affected. What a
    library writes in the moment in which it ends the process is lost.
    """
    if sys.stderr.fileno() == 2:
        return
    real = os.dup(2)
    read, write = os.pipe()
    # A library never blocks here, even if the thread fails.
    os.set_blocking(write, False)
    os.dup2(write, 2, inheritable=False)
    os.close(write)
    if faulthandler.is_enabled():
        faulthandler.enable(real)
    threading.Thread(target=_pass_on, args=(read, real), name="library-messages", daemon=True).start()


def _pass_on(read: int, real: int) -> None:
    left, omitted, ends_at = LINES, 0, 0.0
    while True:
        wait_s = max(0.0, ends_at - time.monotonic()) if omitted else None
        data = os.read(read, READ_BYTES) if select.select([read], [], [], wait_s)[0] else b""
        if time.monotonic() >= ends_at:
            if omitted:
                log.warning("sound libraries wrote more than %d further lines to stderr, left out here", omitted)
            left, omitted, ends_at = LINES, 0, time.monotonic() + PERIOD_S
        lines = data.splitlines(keepends=True)
        _write(real, b"".join(lines[:left]))
        omitted += len(lines[left:])
        left -= len(lines[:left])
        if omitted:
            time.sleep(PAUSE_S)


def _write(real: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(real, data) :]
        except OSError:
            # Closed, full or without a reader: as for sys.stderr, not an error.
            return

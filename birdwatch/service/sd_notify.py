"""Notifications to systemd: READY, STATUS, WATCHDOG, RELOADING and STOPPING over NOTIFY_SOCKET.

There is no thread and no timer, so a daemon that hangs sends nothing, and systemd restarts it. Without systemd every
call does nothing. Protocol: sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

__all__ = ["Notifier"]

log = logging.getLogger(__name__)


class Notifier:
    """Sends to `$NOTIFY_SOCKET`, a path or an abstract `@name`, if there is one; never waits and never raises.

    environ: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read. clock: monotonic nanoseconds.
    """

    def __init__(
        self, environ: Mapping[str, str] = os.environ, *, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._clock = clock
        self._status = ""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if usec.isdecimal() and mine and self._socket is not None else 0.0
        """The watchdog interval in seconds; 0 without a watchdog."""
        self._next_ns = 0

    @property
    def connected(self) -> bool:
        """Whether there is a notification socket."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """The start, or a reload, is done."""
        self._status = status
        self._send("READY=1", f"STATUS={_line(status)}")

    def status(self, text: str) -> None:
        """What `systemctl status` shows; the same text again is not sent again."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={_line(text)}")

    def progress(self) -> None:
        """Notify the watchdog; call this only after work was done. Sent four times per interval at most."""
        now = self._clock()
        if self.watchdog_s and now >= self._next_ns:
            self._next_ns = now + int(self.watchdog_s * 1e9 / 4)
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it, whether it was taken over or refused."""
        # Type=notify-reload wants the time with it, in microseconds of CLOCK_MONOTONIC.
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._clock() // 1000}")

    def stopping(self, status: str) -> None:
        """The daemon is stopping intentionally."""
        self._send("STOPPING=1", f"STATUS={_line(status)}")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            # Detection does not depend on systemd's socket.
            log.debug("systemd could not be notified of %s: %s", lines[0], error)


def _address(name: str) -> str | None:
    """The socket's address; None for none, or for a kind that this machine lacks (vsock)."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _line(text: str) -> str:
    """One line: a newline would begin the protocol's next field."""
    return " ".join(text.split())

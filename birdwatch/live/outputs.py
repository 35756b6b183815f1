"""Protocols of a daemon's outputs: a publisher and systemd."""

from __future__ import annotations

from typing import Protocol

from birdwatch.messaging.messages import Message

__all__ = ["Outlet", "Systemd"]


class Outlet(Protocol):
    """Publishes messages."""

    def publish(self, message: Message) -> object:
        """Send it; never waits."""
        ...


class Systemd(Protocol):
    """The service manager that started the daemon and watches it."""

    def ready(self, status: str) -> None:
        """It is up, or a reload has ended."""
        ...

    def status(self, text: str) -> None:
        """One line for the journal and `systemctl status`."""
        ...

    def progress(self) -> None:
        """Work was done."""
        ...

    def reloading(self) -> None:
        """A reload begins."""
        ...

    def stopping(self, status: str) -> None:
        """It ends on purpose."""
        ...

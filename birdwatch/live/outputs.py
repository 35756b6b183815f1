"""Whom the daemon talks to: subscribers, and who started it."""

from __future__ import annotations

from typing import Protocol

from birdwatch.messaging.messages import Message

__all__ = ["Outlet", "Systemd"]


class Outlet(Protocol):
    """Where messages go."""

    def publish(self, message: Message) -> object:
        """Send it, never waiting for anybody."""
        ...

    def poll(self) -> None:
        """Do what came up: greet who subscribed."""
        ...


class Systemd(Protocol):
    """Who started the daemon and watches it."""

    def ready(self, status: str) -> None:
        """It is up, or a reload has ended."""
        ...

    def status(self, text: str) -> None:
        """One line for people."""
        ...

    def progress(self) -> None:
        """Work was done."""
        ...

    def reloading(self) -> None:
        """A reload begins."""
        ...

    def stopping(self, status: str) -> None:
        """It goes down on purpose."""
        ...

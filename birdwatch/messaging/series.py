"""The numbered messages of one station: their common fields, the last number, and the latest status."""

from __future__ import annotations

from dataclasses import dataclass

from birdwatch.messaging.messages import Envelope, Message, topic

__all__ = ["Series"]


@dataclass(slots=True)
class Series:
    """envelope: what every message carries. last_seq: number of the newest one. status: the newest, for greetings.

    greet: whether a subscription to the status came since the newest one. next_greeting: not before this, in monotonic
    seconds.
    """

    envelope: Envelope
    last_seq: int = 0
    status: Message | None = None
    greet: bool = False
    next_greeting: float = 0.0

    @property
    def status_topic(self) -> bytes:
        """The topic of its status messages."""
        return topic("status", self.envelope.station).encode()

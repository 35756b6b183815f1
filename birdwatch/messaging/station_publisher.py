"""One of several stations on one publisher: separate name, boot id and numbers, on a common socket."""

from __future__ import annotations

from dataclasses import replace

from birdwatch.messaging.messages import Envelope, Message
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.series import Series

__all__ = ["StationPublisher"]


class StationPublisher:
    """Publishes as the station of `envelope` until `leave`; subscribers that come are greeted with its status too."""

    def __init__(self, publisher: Publisher, envelope: Envelope) -> None:
        self._publisher = publisher
        self._series = Series(envelope)
        publisher.join(self._series)

    @property
    def last_seq(self) -> int:
        """Number of the newest message."""
        return self._series.last_seq

    @property
    def spectrum_wanted(self) -> bool:
        """Whether a subscription names the kind `spectrum`, so that it is worth computing."""
        return self._publisher.spectrum_wanted

    def publish(self, message: Message) -> int:
        """Send `message` and return its number. Never waits. Raises ValueError for NaN or infinity in it."""
        return self._publisher.publish(message, self._series)

    def publish_spectrum(self, message: Message) -> None:
        """Send columns of the mel image, if `spectrum_wanted`."""
        self._publisher.publish_spectrum(message, self._series)

    def describe(self, *, source: str, filter_text: str | None) -> None:
        """Name the source and the species filter in the messages from now on."""
        envelope = self._series.envelope
        if (envelope.source, envelope.filter) != (source, filter_text):
            self._series.envelope = replace(envelope, source=source, filter=filter_text)

    def leave(self) -> None:
        """The station has ended: new subscribers are not greeted with its status."""
        self._publisher.leave(self._series)

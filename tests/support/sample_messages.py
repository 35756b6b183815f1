"""One message of each kind, made by the functions that the daemon calls."""

from __future__ import annotations

import numpy as np

from birdwatch.audio.types import Gap
from birdwatch.messaging.messages import (
    InForce,
    Message,
    Seconds,
    Spectrum,
    Status,
    detection,
    event,
    gap,
    recording,
    spectrum,
    status,
)
from birdwatch.model.manifest import Label
from birdwatch.scores.types import Detection, Event, RecordingMaximum

SPARROW = Label("houspa", "Passer domesticus", "House Sparrow")
NOW_NS = 1_746_072_723_250_000_000
SCORES = np.array([0.5, 0.25], np.float32)
RECORDING = RecordingMaximum("garden-1", 32_000, 0, 160_000, 1, SCORES)


def status_message(state: str = "listening") -> Message:
    value = Status(
        state=state,  # type: ignore[arg-type]
        device="USB Mic",
        provider="CPUExecutionProvider",
        model="tiny",
        model_sha256="0" * 64,
        seconds=Seconds(captured=10.0, analysed=7.5, pending=2.5),
        latency_p50_ms=12.34,
        rss_mb=123.456,
        level_dbfs=-42.49,
        place=(52.5, 13.25),
        configuration=InForce(4711, "0" * 16),
    )
    return status(value)


def spectrum_message() -> Message:
    """Five columns of 128 bands, half a second."""
    levels = np.arange(5 * 128, dtype=np.int64).astype(np.uint8).reshape(5, 128)
    return spectrum(Spectrum(levels, 32_000, 3_200, 32_000, 50.0, 14_000.0, -100.0, 0.0), start_ns=NOW_NS)


def samples() -> list[Message]:
    limits = np.array([0.5, 0.5], np.float32)
    end_ns = NOW_NS + 5 * 10**9
    found = Detection(0, 0.9, 0.5, 0, 160_000)
    ended = Event(0, 0, 240_000, 0.9, 0.7, 2)
    return [
        detection(found, SPARROW, rate_hz=32_000, start_ns=NOW_NS, end_ns=end_ns, event_id="b0-1"),
        event(ended, SPARROW, rate_hz=32_000, start_ns=NOW_NS, end_ns=end_ns, event_id="b0-1", clip=None),
        recording(RECORDING, ["houspa", "eurrob1"], limits, start_ns=NOW_NS, end_ns=end_ns),
        gap(Gap(0, 16_000, "overflow"), rate_hz=32_000, start_ns=NOW_NS),
        status_message(),
    ]


def fat_message() -> Message:
    """So large that a few of them fill all buffers on the way to a subscriber that does not read."""
    return Message("gap", "-", {**samples()[3].fields, "padding": "x" * 200_000})

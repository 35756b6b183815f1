"""Builds messages to subscribers, of two frames each. Pure: no socket, no clock.

docs/messages.md is the contract. Within version 1 fields are only ever added; birdwatch/schemas holds a JSON Schema
for each kind. Times are given as nanoseconds since 1970 (UTC), computed from frames by the caller.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birdwatch._version import __version__
from birdwatch.audio.types import FloatArray, Gap
from birdwatch.messaging.station_status import InForce, Seconds, State, Status
from birdwatch.model.manifest import Label
from birdwatch.scores.types import Detection, Event, RecordingMaximum

__all__ = [
    "KINDS",
    "NO_LABEL",
    "SCHEMA",
    "Envelope",
    "InForce",
    "Message",
    "Seconds",
    "Spectrum",
    "State",
    "Status",
    "detection",
    "event",
    "frames",
    "gap",
    "recording",
    "rfc3339",
    "spectrum",
    "status",
    "topic",
]

SCHEMA = "birdwatch/1"
Kind = Literal["detection", "event", "recording", "gap", "status", "spectrum"]
# The kinds that carry a `seq` and are kept in the message log; `spectrum` is neither.
KINDS: tuple[Kind, ...] = ("detection", "event", "recording", "gap", "status")

# The label's place in the topic of a kind that has none.
NO_LABEL = "-"


@dataclass(frozen=True, slots=True)
class Message:
    """One message before it is numbered: its kind, the label in its topic, and the fields of its own."""

    kind: Kind
    label: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all messages of one daemon's life share. boot_id is new at each start, and `seq` counts within it.

    filter: the species filter in force, as text; None without one.
    """

    station: str
    source: str
    boot_id: str
    filter: str | None = None
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Consecutive columns of the mel image of a live stream, for display.

    levels: uint8 `(columns, bands)`, lowest band first; 0 is `floor_db` or less, 255 is `ceiling_db` or more, linear
    between. start_frame: of the first column, at `rate_hz`. frames_per_column: from one column to the next. low_hz and
    high_hz: edges of the mel filter bank. floor_db and ceiling_db: dB of the power of a full-scale sine.
    """

    levels: npt.NDArray[np.uint8]
    start_frame: int
    frames_per_column: int
    rate_hz: int
    low_hz: float
    high_hz: float
    floor_db: float
    ceiling_db: float


def detection(
    found: Detection, label: Label, *, rate_hz: int, start_ns: int, end_ns: int, event_id: str | None
) -> Message:
    """One class at or over its threshold in one window. rate_hz is that of `found`'s frames."""
    fields = {
        **_names(label),
        "score": _score(found.score),
        "threshold": _score(found.threshold),
        **_span(found.start_frame, found.end_frame, rate_hz=rate_hz, start_ns=start_ns, end_ns=end_ns),
        "start_frame": found.start_frame,
        "event_id": event_id,
    }
    return Message("detection", label.code, fields)


def event(
    ended: Event, label: Label, *, rate_hz: int, start_ns: int, end_ns: int, event_id: str, clip: str | None
) -> Message:
    """Consecutive detections of one class, merged, once they have ended. clip: the path of its audio, if saved."""
    fields = {
        **_names(label),
        "max_score": _score(ended.max_score),
        "mean_score": _score(ended.mean_score),
        "windows": ended.windows,
        **_span(ended.start_frame, ended.end_frame, rate_hz=rate_hz, start_ns=start_ns, end_ns=end_ns),
        "event_id": event_id,
        "clip": clip,
    }
    return Message("event", label.code, fields)


def recording(
    scored: RecordingMaximum,
    codes: Sequence[str],
    limits: FloatArray,
    *,
    start_ns: int,
    end_ns: int,
    allowed: Sequence[bool] | None = None,
) -> Message:
    """The maximum over a recording's windows `(classes,)`, and the classes at or over their limits `(classes,)`.

    allowed: which classes a species filter lets through; the others are left out. None for all of them.
    """
    kept = [True] * len(codes) if allowed is None else allowed
    rows = [row for row, keep in zip(zip(codes, scored.scores, limits, strict=True), kept, strict=True) if keep]
    fields = {
        "recording": scored.recording,
        "start": rfc3339(start_ns),
        "end": rfc3339(end_ns),
        "windows": scored.windows,
        "scores": {code: _score(float(score)) for code, score, _ in rows},
        "present": [code for code, score, limit in rows if score >= limit],
    }
    return Message("recording", NO_LABEL, fields)


def gap(lost: Gap, *, rate_hz: int, start_ns: int) -> Message:
    """Audio that was lost, or time that jumped. rate_hz is that of `lost`'s frames."""
    fields = {"reason": lost.reason, "start": rfc3339(start_ns), "seconds": round(lost.frames / rate_hz, 6)}
    return Message("gap", NO_LABEL, fields)


def status(value: Status) -> Message:
    """How the daemon is. The publisher adds what only it knows: `subscribers_dropped`, `last_seq`, `journal`."""
    fields = {
        "state": value.state,
        "reason": value.reason,
        "flags": list(value.flags),
        "device": value.device,
        "level_dbfs": None if value.level_dbfs is None else round(value.level_dbfs, 1),
        "lat": None if value.place is None else value.place[0],
        "lon": None if value.place is None else value.place[1],
        "provider": value.provider,
        "model": value.model,
        "model_sha256": value.model_sha256,
        "seconds": {name: round(seconds, 3) for name, seconds in asdict(value.seconds).items()},
        "latency_ms": {"p50": _ms(value.latency_p50_ms), "p95": _ms(value.latency_p95_ms)},
        "windows": value.windows,
        "detections": value.detections,
        "rss_mb": round(value.rss_mb, 1),
        "configuration": None if value.configuration is None else asdict(value.configuration),
    }
    return Message("status", NO_LABEL, fields)


def spectrum(value: Spectrum, *, start_ns: int) -> Message:
    """Columns of the mel image. Raises ValueError where `levels` is not uint8 `(columns, bands)`."""
    levels = value.levels
    if levels.dtype != np.uint8 or levels.ndim != 2 or not levels.size:
        raise ValueError(f"levels are {levels.dtype} {levels.shape}, expected uint8 (columns, bands)")
    fields = {
        "start": rfc3339(start_ns),
        "start_s": round(value.start_frame / value.rate_hz, 6),
        "column_s": round(value.frames_per_column / value.rate_hz, 6),
        "columns": levels.shape[0],
        "bands": levels.shape[1],
        "low_hz": value.low_hz,
        "high_hz": value.high_hz,
        "floor_db": value.floor_db,
        "ceiling_db": value.ceiling_db,
        "levels": base64.b64encode(np.ascontiguousarray(levels).tobytes()).decode("ascii"),
    }
    return Message("spectrum", NO_LABEL, fields)


def frames(
    message: Message, envelope: Envelope, *, seq: int | None, sent_ns: int, more: Mapping[str, Any] | None = None
) -> tuple[bytes, bytes]:
    """The topic and the body as UTF-8. Raises ValueError where a number is NaN or infinite: such is never sent.

    seq: None for a kind that is not numbered.
    """
    body = {
        "schema": SCHEMA,
        "kind": message.kind,
        "station": envelope.station,
        "source": envelope.source,
        "boot_id": envelope.boot_id,
        **({} if seq is None else {"seq": seq}),
        "sent": rfc3339(sent_ns),
        "version": envelope.version,
        "filter": envelope.filter,
        **message.fields,
        **(more or {}),
    }
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A name that is not UTF-8 must not end the daemon: its bytes are escaped.
    return topic(message.kind, envelope.station, message.label).encode(), text.encode(errors="backslashreplace")


def topic(kind: str, station: str, label: str = NO_LABEL) -> str:
    """`birdwatch/1/<kind>/<station>/<label>/`; a slash inside a part is written `%2F`, as it would split it."""
    parts = (part.replace("%", "%25").replace("/", "%2F") for part in (kind, station, label))
    return f"{SCHEMA}/{'/'.join(parts)}/"


def rfc3339(time_ns: int) -> str:
    """Nanoseconds since 1970 as `2025-05-01T04:12:03.250Z`: UTC, whole milliseconds, the rest cut off."""
    # Integers all the way: a float holds today's nanoseconds to 256 ns only.
    second, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(second, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


def _names(label: Label) -> dict[str, str]:
    return {"label": label.code, "common_name": label.common_name, "scientific_name": label.scientific_name}


def _span(start_frame: int, end_frame: int, *, rate_hz: int, start_ns: int, end_ns: int) -> dict[str, str | float]:
    return {
        "start": rfc3339(start_ns),
        "end": rfc3339(end_ns),
        "start_s": round(start_frame / rate_hz, 6),
        "end_s": round(end_frame / rate_hz, 6),
    }


def _score(value: float) -> float:
    # A score is a float32 with six significant digits. Rounding keeps the order of score and threshold.
    return round(float(value), 6)


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

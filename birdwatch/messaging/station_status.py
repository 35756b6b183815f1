"""The status of a station as a value, for its status message. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["InForce", "Seconds", "State", "Status"]

State = Literal["starting", "listening", "waiting-device", "degraded", "asleep", "stopping"]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where every second of audio went: captured = analysed + skipped_silent + dropped + pending.

    drift: how far the device's clock has run slow. inactive: what was not captured on purpose, by schedule. Wall time =
    captured + gap + inactive + drift.
    """

    captured: float = 0.0
    analysed: float = 0.0
    skipped_silent: float = 0.0
    dropped: float = 0.0
    gap: float = 0.0
    pending: float = 0.0
    drift: float = 0.0
    inactive: float = 0.0


@dataclass(frozen=True, slots=True)
class InForce:
    """Which configuration is in force. process: the daemon's process id. thresholds: digest of the thresholds.

    reads: how often the configuration was read, the start included. refused: why the last reload was refused, or None.
    """

    process: int
    thresholds: str
    reads: int = 1
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How the daemon is.

    latency_p50_ms, latency_p95_ms: from the end of a window to its messages; None before the first window.
    reason: why the state is not `listening`. flags: what is odd about the audio (silence, stuck-dc, clipping ...).
    level_dbfs: root mean square of the last second; None where none was captured. place: latitude and longitude in
    degrees, as configured. configuration: None where there is none to reload.
    """

    state: State
    device: str | None
    provider: str
    model: str
    model_sha256: str
    seconds: Seconds = field(default_factory=Seconds)
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    windows: int = 0
    detections: int = 0
    rss_mb: float = 0.0
    reason: str | None = None
    flags: tuple[str, ...] = ()
    level_dbfs: float | None = None
    place: tuple[float, float] | None = None
    configuration: InForce | None = None

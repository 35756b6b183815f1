"""Every setting with its default, its bounds and one line of help, each once.

A setting has the same name everywhere: `hop = 2.5` in the file, `BIRDWATCH_HOP=2.5`, `--hop 2.5`.
birdwatch.config.loading reads them.
"""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from birdwatch.audio.limits import MAX_CHANNELS, RATES_HZ
from birdwatch.model.provider_names import PROVIDERS, Provider

__all__ = ["SCORING", "ClassRules", "Rule", "Settings", "class_rules", "rules"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The type and bounds of a setting; each number has both bounds, so that values computed from it stay finite.

    most: the upper bound of a setting without a natural one, mentioned only in an error. off: a number below `low`
    that is allowed as well. like: a description of the pattern. live: applied by a reload; other settings need a
    restart. source: may differ between sources, in `[source.NAME]`; a reload applies it by opening that source again.
    secret: the value is never shown.
    """

    kind: type
    help: str
    low: float | None = None
    high: float | None = None
    most: float | None = None
    off: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    like: str = ""
    optional: bool = False
    live: bool = False
    source: bool = False
    secret: bool = False

    def fault(self, value: Any) -> str | None:
        """What was expected instead of `value`, or None if it is valid."""
        if value is None:
            return None if self.optional else "a value"
        if self.off is not None and value == self.off:
            return None
        if self.choices and value not in self.choices:
            return f"one of {', '.join(self.choices)}"
        if isinstance(value, float) and not math.isfinite(value):
            return "a finite number" if self.low is None else self._range()
        if self.low is not None and not value >= self.low:
            return self._range()
        if self.high is not None and not value <= self.high:
            return self._range()
        if self.most is not None and value > self.most:
            return f"at most {self.most:g}"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return self.like or f"text like {self.pattern}"
        return None

    def _range(self) -> str:
        bounds = f"{self.low:g} to {self.high:g}" if self.high is not None else f"{self.low:g} or more"
        return bounds if self.off is None else f"{self.off:g}, or {bounds}"


def setting(default: Any, kind: type, text: str, **bounds: Any) -> Any:
    """A dataclass field with its rule."""
    rule = Rule(kind, text, optional=default is None, **bounds)
    if callable(default):
        return field(default_factory=default, metadata={"rule": rule})
    return field(default=default, metadata={"rule": rule}, repr=not rule.secret)


def _station() -> str:
    return re.sub(r"[\s/]", "-", platform.node()) or "station"


# A day: no event's pause, no recording and no hop is longer.
DAY_S = 86400.0
_endpoint = r"tcp://\S+:(\d{1,5}|\*)|ipc://\S.*"
_like_endpoint = "tcp://HOST:PORT or ipc://PATH, for example tcp://127.0.0.1:5570"
_own: Mapping[str, Any] = {"source": True}
_live: Mapping[str, Any] = {"source": True, "live": True}
_score: Mapping[str, Any] = {"low": 0.0, "high": 1.0, **_live}


@dataclass(frozen=True, slots=True)
class ClassRules:
    """Detection threshold and event rules of one class."""

    threshold: float | None = setting(
        None, float, "Detection threshold of all classes; none: those of the model.", **_score
    )
    event_off: float | None = setting(
        None, float, "Score below which an event ends; none: the detection threshold.", **_score
    )
    event_min_windows: int = setting(
        1, int, "Minimum number of positive windows of an event.", low=1, most=1_000_000, **_live
    )
    event_bridge: float = setting(
        5.0, float, "Longest pause within an event, in seconds.", low=0.0, most=DAY_S, **_live
    )


@dataclass(frozen=True, slots=True)
class Settings(ClassRules):
    """All settings. Paths are as the user wrote them, with `~` resolved."""

    device: str | None = setting(
        None, str, "Microphone: its stable name, a part of it, or its number; none: the default.", **_own
    )
    source: str | None = setting(None, str, "A file, or - for raw audio on stdin, instead of a microphone.", **_own)
    url: str | None = setting(
        None,
        str,
        "A network stream instead of a microphone: rtsp, rtmp, http, hls, srt, rtp or udp.",
        secret=True,
        **_own,
    )
    folder: Path | None = setting(None, Path, "A folder instead of a microphone: recordings that arrive there.", **_own)
    channel: str = setting(
        "mix", str, "Channel: mix (downmix to mono), a number from 0, or each.", pattern=r"mix|each|\d{1,3}", **_own
    )
    gain: float = setting(0.0, float, "Amplification before scoring, in dB.", low=-60.0, high=60.0, **_own)
    high_pass: float = setting(
        0.0,
        float,
        "Cut-off frequency of a high-pass filter, in Hz; 0: none.",
        low=1.0,
        most=RATES_HZ[1] / 2,
        off=0.0,
        **_own,
    )
    active: str | None = setting(
        None, str, "When to listen: `04:00 .. 10:30` (UTC) or `sunrise-60min .. sunset+30min`; none: always.", **_own
    )
    wait_for_clock: bool = setting(False, bool, "Do not listen before the machine's clock has been set.")
    realtime: bool = setting(False, bool, "Read --source in real time.", **_own)
    raw_rate: int = setting(
        48000, int, "Sample rate of raw audio on stdin, in Hz.", low=RATES_HZ[0], high=RATES_HZ[1], **_own
    )
    raw_channels: int = setting(
        1, int, "Channels of raw audio on stdin, downmixed to mono.", low=1, most=MAX_CHANNELS, **_own
    )
    station: str = setting(_station, str, "This station's name in every message.", pattern=r"[^/\s\ud800-\udfff]+")
    model: Path | None = setting(None, Path, "An .onnx file, or the name of an added model; none: the built-in one.")
    lat: float | None = setting(
        None,
        float,
        "Latitude, degrees north: with lon, only species that occur there.",
        low=-90.0,
        high=90.0,
        **_live,
    )
    lon: float | None = setting(None, float, "Longitude, degrees east.", low=-180.0, high=180.0, **_live)
    week: int | None = setting(
        None,
        int,
        "Week of the year, 1 to 48 (four per month); none: the current one when live, else the whole year.",
        low=1,
        high=48,
        **_live,
    )
    species: Path | None = setting(None, Path, "A file, one species per line: only these are detected.", **_live)
    locale: str | None = setting(None, str, "Label names in this language, if the model has it, or from this file.")
    provider: Provider = setting("auto", str, "Execution provider of the network.", choices=PROVIDERS)
    hop: float | None = setting(
        None, float, "Seconds between windows; none: half a window.", low=0.01, most=DAY_S, **_own
    )
    recording_seconds: float = setting(
        60.0, float, "Seconds per recording message of a live source.", low=1.0, most=DAY_S, **_own
    )
    bind: str = setting(
        "tcp://127.0.0.1:5570", str, "Endpoint for subscribers.", pattern=_endpoint, like=_like_endpoint
    )
    replay_bind: str = setting(
        "tcp://127.0.0.1:5571",
        str,
        "Endpoint for replay; `off` for none.",
        pattern=f"off|{_endpoint}",
        like=f"off, {_like_endpoint}",
    )
    curve_keys: Path | None = setting(None, Path, "Folder of CURVE keys (birdwatch keygen).")
    insecure_bind: bool = setting(False, bool, "Allow other machines to connect without keys.")
    journal: Path | None = setting(None, Path, "File of the message log; none: in the state folder.")
    journal_max_mb: float = setting(
        256.0, float, "Maximum size of the message log, oldest removed first; 0: no message log.", low=0.0, most=1e9
    )
    save_clips: Path | None = setting(None, Path, "Folder for the audio of events; none: not saved.")
    clips_max_gb: float = setting(
        10.0, float, "Maximum size of all clips, oldest removed first.", low=0.0, most=1e6, live=True
    )
    record: Path | None = setting(None, Path, "Folder for all audio, one file per minute; none: not saved.", **_own)
    record_format: str = setting("flac", str, "Format of saved audio.", choices=("flac", "opus"), **_own)
    record_max_gb: float = setting(
        50.0, float, "Maximum size of saved audio, oldest removed first.", low=0.0, most=1e6, **_own
    )
    record_max_days: float = setting(
        0.0, float, "Maximum age of saved audio in days; 0: no limit.", low=0.0, most=36500.0, **_own
    )
    privacy: str = setting(
        "off",
        str,
        "During speech: drop-audio keeps detections only, drop-all nothing.",
        choices=("off", "drop-audio", "drop-all"),
        **_own,
    )
    class_: Mapping[str, ClassRules] = field(default_factory=dict)

    def for_class(self, code: str) -> ClassRules:
        """The rules of class `code`: its own, or those of all classes."""
        return self.class_.get(code) or self.for_all_classes()

    def for_all_classes(self) -> ClassRules:
        """The rules of classes without rules of their own."""
        return ClassRules(**{name: getattr(self, name) for name in class_rules()})


# The settings that determine scores, detections and events, which `birdwatch run` has like a station.
SCORING = (
    "model",
    "provider",
    "hop",
    "threshold",
    "event_off",
    "event_min_windows",
    "event_bridge",
    "lat",
    "lon",
    "week",
    "species",
    "locale",
)


def rules() -> dict[str, Rule]:
    """Each setting's rule by name, in display order."""
    return {item.name: item.metadata["rule"] for item in fields(Settings) if item.name != "class_"}


def class_rules() -> dict[str, Rule]:
    """The rules of the settings that can be set per class."""
    return {item.name: item.metadata["rule"] for item in fields(ClassRules)}

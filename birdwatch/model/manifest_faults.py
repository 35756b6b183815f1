"""The one check of a manifest: everything that is wrong with it, whatever types its values have. Pure.

A manifest comes from a file of unknown origin, so no value is used before its type is known.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from birdwatch.audio.resample import ResamplerKind

__all__ = ["Activation", "Input", "frontend_faults", "manifest_faults", "probe_faults", "shown", "some"]

Input = Literal["mel", "waveform"]
Activation = Literal["sigmoid", "softmax", "none"]

# Larger values are implausible, and a buffer for one window would take the machine's memory.
MAX_RATE_HZ = 1_000_000
MAX_WINDOW_S = 600
MAX_IMAGE = 8192
MAX_FFT = 1 << 20
MAX_CLASSES = 200_000
MAX_NUMBER = 1 << 63
# A code is part of topics, file names and table columns.
MAX_NAME_BYTES = 200
# Of the same fault, as many are named; the rest is counted.
NAMED = 5


def shown(value: object) -> str:
    """A value as a message may show it: in one line, cut short."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 60 else f"{text[:57]}..."


def manifest_faults(values: Mapping[str, Any], *, schema: int) -> list[str]:
    """What is wrong with a manifest's fields; labels are objects with `code` and names, frontend a checked one."""
    faults: list[str] = []
    if values["schema"] != schema or isinstance(values["schema"], bool):
        faults.append(f"schema is {shown(values['schema'])}, this version of birdwatch reads {schema}")
    for name in ("name", "license", "attribution", "scores_output"):
        faults += _text_faults(name, values[name], empty=name != "scores_output")
    if values["embedding_output"] is not None:
        faults += _text_faults("embedding_output", values["embedding_output"])
    faults += _segment_faults(values)
    for name, kinds in (("input", Input), ("activation", Activation), ("resampler", ResamplerKind)):
        if values[name] not in get_args(kinds):
            faults.append(f"{name} is {shown(values[name])}, expected one of {get_args(kinds)}")
    faults += _label_faults(values["labels"])
    faults += _threshold_faults(values["threshold"], values["thresholds"], values["labels"])
    faults += _window_faults(values["rate_hz"], values["window_frames"])
    faults += _fit_faults(values)
    if not isinstance(values["provenance"], Mapping):
        faults.append(f"provenance is {shown(values['provenance'])}, expected an object")
    if values["probe"] is not None and not isinstance(values["probe"], Mapping):
        faults.append(f"probe is {shown(values['probe'])}, expected an object or null")
    for name in ("parameters", "macs"):
        if values[name] is not None and not (_is_count(values[name]) and _is_number(values[name])):
            faults.append(f"{name} is {shown(values[name])}, expected a whole number or null")
    return faults


def _segment_faults(values: Mapping[str, Any]) -> list[str]:
    segments, output, frames = values["segments"], values["segments_output"], values["window_frames"]
    if not _is_count(segments) or segments < 1:
        return [f"segments is {shown(segments)}, expected a whole number from 1"]
    if output is None:
        return ["segments is above 1 without segments_output"] if segments > 1 else []
    faults = _text_faults("segments_output", output)
    if _is_count(frames) and frames % segments:
        faults.append(f"a window of {frames} frames cannot be cut into {segments} equal segments")
    return faults


def frontend_faults(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the types and sizes of a front end's fields; how they fit together is its own to check."""
    faults = []
    limits = {"rate_hz": MAX_RATE_HZ, "window_frames": MAX_RATE_HZ * MAX_WINDOW_S, "n_fft": MAX_FFT}
    for name in ("rate_hz", "window_frames", "n_fft", "hop_frames", "n_mels", "height", "width"):
        limit = limits.get(name, MAX_FFT if name == "hop_frames" else MAX_IMAGE)
        if not _is_count(values[name]) or not 1 <= values[name] <= limit:
            faults.append(f"{name} is {shown(values[name])}, it must be at least 1 and at most {limit}")
    for name in ("fmin_hz", "fmax_hz", "top_db"):
        if not _is_number(values[name]):
            faults.append(f"{name} is {shown(values[name])}, expected a number")
    return faults


def probe_faults(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the types of a probe's fields."""
    faults = []
    rows = values["scores"]
    if not _is_list(rows) or not all(_is_list(row) and all(map(_is_number, row)) for row in rows):
        faults.append(f"scores are {shown(rows)}, expected rows of numbers")
    for name in ("tolerance", "tolerance_log_odds"):
        if not _is_number(values[name]):
            faults.append(f"{name} is {shown(values[name])}, expected a number")
    if not isinstance(values["sha256"], str):
        faults.append(f"sha256 is {shown(values['sha256'])}, expected text")
    return faults


def _label_faults(labels: object) -> list[str]:
    if not _is_list(labels):
        return [f"labels are {shown(labels)}, expected a list"]
    assert isinstance(labels, Sequence)
    if not labels:
        return ["labels are empty"]
    if len(labels) > MAX_CLASSES:
        return [f"there are {len(labels)} labels, expected at most {MAX_CLASSES}"]
    faults: list[str] = []
    for number, label in enumerate(labels):
        if label.code == "":
            faults.append(f"a label has no code (number {number})")
        else:
            faults += _text_faults(f"code of label {number}", label.code, limit=MAX_NAME_BYTES)
        for name in ("scientific_name", "common_name"):
            faults += _text_faults(f"{name} of label {number}", getattr(label, name), empty=True)
    codes = Counter(label.code for label in labels if isinstance(label.code, str))
    repeated = sorted(code for code, count in codes.items() if count > 1)
    if repeated:
        faults.append(f"labels repeat {shown(repeated[:NAMED])}")
    return some(faults)


def _threshold_faults(threshold: object, thresholds: object, labels: object) -> list[str]:
    faults = []
    if not isinstance(thresholds, Mapping):
        return [f"thresholds are {shown(thresholds)}, expected an object of codes and scores"]
    for code, value in [("threshold", threshold), *thresholds.items()]:
        if not _is_number(value) or not 0.0 <= value <= 1.0:
            faults.append(f"threshold of {code} is {shown(value)}, expected 0 to 1")
    if isinstance(labels, Iterable):
        codes = {code for code in (getattr(label, "code", None) for label in labels) if isinstance(code, str)}
        unknown = sorted(str(code) for code in set(thresholds) - codes)
        if unknown:
            faults.append(f"thresholds name classes that labels lack: {shown(unknown[:NAMED])}")
    return some(faults)


def _window_faults(rate_hz: object, window_frames: object) -> list[str]:
    if not _is_count(rate_hz) or not _is_count(window_frames):
        return [f"rate_hz {shown(rate_hz)} and window_frames {shown(window_frames)} must be whole numbers"]
    assert isinstance(rate_hz, int)
    assert isinstance(window_frames, int)
    if rate_hz < 1 or window_frames < 1:
        return [f"rate_hz {rate_hz} and window_frames {window_frames} must be at least 1"]
    if rate_hz > MAX_RATE_HZ or window_frames > MAX_WINDOW_S * rate_hz:
        most = f"{MAX_RATE_HZ} and {MAX_WINDOW_S} s"
        return [f"rate_hz {shown(rate_hz)} and window_frames {shown(window_frames)} are too large, at most {most}"]
    return []


def _fit_faults(values: Mapping[str, Any]) -> list[str]:
    frontend = values["frontend"]
    if frontend is None:
        return ["input is 'mel' but there is no frontend"] if values["input"] == "mel" else []
    if not hasattr(frontend, "rate_hz"):
        return [f"frontend is {shown(frontend)}, expected an object"]
    if (frontend.rate_hz, frontend.window_frames) != (values["rate_hz"], values["window_frames"]):
        own = f"{shown(values['window_frames'])} at {shown(values['rate_hz'])}"
        return [f"frontend takes {frontend.window_frames} frames at {frontend.rate_hz} Hz, the model {own}"]
    return []


def _text_faults(name: str, value: object, *, empty: bool = False, limit: int | None = None) -> list[str]:
    if not isinstance(value, str):
        return [f"{name} is {shown(value)}, expected text"]
    # What is printable has no control characters and no halves of surrogates; a model may have 20 000 texts.
    if value.isprintable() and (value or empty) and (limit is None or 4 * len(value) <= limit):
        return []
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return [f"{name} is {shown(value)}, expected text that UTF-8 can hold"]
    if any(unicodedata.category(character) == "Cc" for character in value) and (limit or not empty):
        return [f"{name} is {shown(value)}, expected text without control characters"]
    if "\0" in value:
        return [f"{name} is {shown(value)}, expected text without NUL"]
    if not empty and not value:
        return [f"{name} is empty"]
    if limit is not None and size > limit:
        return [f"{name} has {size} bytes, expected at most {limit}"]
    return []


def some(faults: list[str]) -> list[str]:
    """The first faults of a kind, and the number of the others."""
    more = len(faults) - NAMED
    return faults if more <= 0 else [*faults[:NAMED], f"and {more} more of the kind"]


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # JSON's whole numbers may have thousands of digits, which no float holds.
    return abs(value) < MAX_NUMBER if isinstance(value, int) else math.isfinite(value)

"""One line of text for each kind of message."""

from __future__ import annotations

import json
from typing import Any

from birdwatch.wording import printable

__all__ = ["line_of"]


def line_of(body: bytes) -> str:
    """A message's body as a line: when, where, what; a malformed message gives a line that says so."""
    try:
        value = json.loads(body)
        kind = str(value["kind"])
        at = value.get("start", value["sent"])
        text = f"{at}  {value['station']}  {kind:<9}  {_TEXTS.get(kind, _other)(value)}"
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        text = f"(not a message: {body[:60]!r})"
    # Names may contain control characters, which a terminal would execute.
    return printable(text)


def _name(value: dict[str, Any]) -> str:
    return str(value["common_name"] or value["scientific_name"] or value["label"])


def _detection(value: dict[str, Any]) -> str:
    return f"{value['score']:.2f}  {_name(value)}"


def _event(value: dict[str, Any]) -> str:
    length_s = value["end_s"] - value["start_s"]
    clip = f"  {value['clip']}" if value["clip"] else ""
    return f"{value['max_score']:.2f}  {_name(value)}, {length_s:.1f} s in {value['windows']} windows{clip}"


def _recording(value: dict[str, Any]) -> str:
    present = ", ".join(value["present"]) or "nothing"
    return f"{value['recording']}: {present} in {value['windows']} windows"


def _gap(value: dict[str, Any]) -> str:
    return f"{value['seconds']:.3f} s lost: {value['reason']}"


def _status(value: dict[str, Any]) -> str:
    text = f"{value['state']}, {value['device'] or 'no device'}, {value['provider']}"
    if value.get("reason"):
        text += f" ({value['reason']})"
    p95 = value["latency_ms"]["p95"]
    latency = f", {p95:.0f} ms" if p95 is not None else ""
    return f"{text}, {value['windows']} windows, {value['detections']} detections{latency}"


def _other(value: dict[str, Any]) -> str:
    return "(a newer kind of message)"


_TEXTS = {"detection": _detection, "event": _event, "recording": _recording, "gap": _gap, "status": _status}

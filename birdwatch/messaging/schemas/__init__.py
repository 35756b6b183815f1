"""JSON Schemas (2020-12) of the messages, one file a kind, for subscribers in any language."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["schema"]


def schema(kind: str) -> dict[str, Any]:
    """The schema of messages of `kind` (detection, event, recording, gap, status, spectrum)."""
    value = json.loads((files(__name__) / f"{kind}.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value

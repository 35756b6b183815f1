"""The value of `--station`: a station's endpoints for messages and replay, and the keys for both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from birdwatch.errors import ConfigError
from birdwatch.messaging.endpoint import check_endpoint

__all__ = ["Origin", "parse_origin"]

_EXPECTED = "expected [NAME=]ENDPOINT[,replay=ENDPOINT][,keys=FOLDER], for example shed=tcp://10.0.0.7:5570"


@dataclass(frozen=True, slots=True)
class Origin:
    """name: as given, else the endpoint; replay: None where nothing can be asked for."""

    name: str
    endpoint: str
    replay: str | None
    keys: Path | None = None


def parse_origin(text: str) -> Origin:
    """The origin in a value of `--station`. Without `replay=` it is the next port. Raises ConfigError."""
    place, *options = text.split(",")
    name, mark, endpoint = place.rpartition("=")
    if mark and not re.fullmatch(r"[^/\s]{1,60}", name):
        raise ConfigError(f"station is {text!r}, {_EXPECTED}", setting="station")
    check_endpoint(endpoint)
    known: dict[str, str] = {}
    for option in options:
        key, mark, value = option.partition("=")
        if key not in ("replay", "keys") or not value or key in known:
            raise ConfigError(f"station is {text!r}, {_EXPECTED}", setting="station")
        known[key] = value
    replay = known.get("replay") or _next_port(endpoint)
    if replay is None:
        raise ConfigError(
            f"station is {text!r}; say where it answers with ,replay=ENDPOINT, or ,replay=off", setting="station"
        )
    if replay != "off":
        check_endpoint(replay)
    keys = Path(known["keys"]).expanduser() if "keys" in known else None
    return Origin(name or endpoint, endpoint, None if replay == "off" else replay, keys)


def _next_port(endpoint: str) -> str | None:
    host, _, port = endpoint.rpartition(":")
    return f"{host}:{int(port) + 1}" if endpoint.startswith("tcp://") and port.isdigit() else None

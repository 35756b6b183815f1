"""Sound devices by stable names: PortAudio's numbers, and ALSA's in its names, change when a device is plugged in."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdwatch.errors import DeviceError

__all__ = ["InputDevice", "find_device", "hardware_signature", "stable_names"]

# The kernel's list of sound cards (Linux).
CARDS = Path("/proc/asound/cards")

# ALSA's card and device number at the end of PortAudio's name: `USB Audio: - (hw:1,0)`.
_HARDWARE = re.compile(r"\s*\((?:plug)?hw:[^)]*\)\s*$")


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that records. index: PortAudio's, valid until a device is plugged in. stable: its stable name."""

    index: int
    stable: str
    channels: int
    rate_hz: int
    default: bool = False


def stable_names(devices: Sequence[tuple[str, str]]) -> list[str]:
    """A stable name for each (host API, PortAudio's name): without hardware numbers; equal ones get `#2`, `#3`."""
    seen: Counter[str] = Counter()
    out = []
    for host, name in devices:
        stable = f"{host}/{_HARDWARE.sub('', name).strip().rstrip(' :-')}"
        seen[stable] += 1
        out.append(stable if seen[stable] == 1 else f"{stable}#{seen[stable]}")
    return out


def hardware_signature(environ: Mapping[str, str] = os.environ) -> str | None:
    """A text that changes when a sound card or a sound server comes or goes; None where the machine cannot tell."""
    server = environ.get("PULSE_SERVER", "")
    if server and not server.startswith(("unix:", "/")):
        return None
    runtime = environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}" if hasattr(os, "getuid") else "")
    if sys.platform != "linux":
        return None
    parts = [CARDS.read_text() if CARDS.exists() else ""]
    for socket in (server.removeprefix("unix:"), f"{runtime}/pulse/native", f"{runtime}/pipewire-0"):
        try:
            found = Path(socket).stat()
        except OSError:
            continue
        parts.append(f"{socket} {found.st_ino} {found.st_ctime_ns}")
    return "\n".join(parts)


def find_device(wanted: str | None, devices: Sequence[InputDevice]) -> InputDevice:
    """The device of a number, a stable name or a part of one, in any case; None is the default. Raises DeviceError."""
    names = ", ".join(device.stable for device in devices) or "none"
    if not devices:
        raise DeviceError("there is no input device; connect a microphone, and see `birdwatch doctor`")
    if wanted is None:
        for device in devices:
            if device.default:
                return device
        raise DeviceError(f"there is no default input device; choose one with --device: {names}")
    for device in devices:
        if wanted in (device.stable, str(device.index)):
            return device
    found = [device for device in devices if wanted.casefold() in device.stable.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise DeviceError(f"device {wanted!r} may be {', '.join(d.stable for d in found)}; give more of its name")
    raise DeviceError(f"no input device is called {wanted!r}; there are: {names}")

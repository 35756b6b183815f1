"""Checks of everything that listening needs on this machine, with advice on how to fix problems."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.config.loading import journal_path
from birdwatch.config.schema import Settings
from birdwatch.errors import BirdwatchError, ConfigError, SinkError
from birdwatch.live.devices import find_device
from birdwatch.live.microphone import input_devices
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.subscriber import Subscriber
from birdwatch.model.classifier import OnnxClassifier, cuda_fault
from birdwatch.model.probe import replay_probe
from birdwatch.model.registry import find_model, species_hint

__all__ = ["Finding", "findings"]

# A machine that takes longer than this share of the hop per window has no reserve.
TIGHT_PART = 0.5

# The first run allocates and picks kernels; the fastest of a few says what the machine can do.
TIMED_RUNS = 5

# A station sends each new subscriber its status; one that does not within this time is none, or has keys.
GREETING_S = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `stops`: listening is impossible; `warns`: it is possible, with a problem."""

    what: str
    verdict: Literal["fine", "warns", "stops"]
    text: str


def findings(settings: Settings) -> Iterator[Finding]:
    """All checks, one after the other; problems do not raise."""
    yield from _sound(settings)
    yield from _model(settings)
    yield from _ports(settings)
    yield from _disk(settings)


def _sound(settings: Settings) -> Iterator[Finding]:
    if settings.source is not None:
        there = settings.source == "-" or Path(settings.source).is_file()
        text = "is the source instead of a microphone" if there else "does not exist; name a file with --source"
        yield Finding("source", "fine" if there else "stops", f"{settings.source} {text}")
        return
    try:
        devices = input_devices()
    except BirdwatchError as error:
        yield Finding("sound", "stops", str(error))
        return
    yield Finding("sound", "fine", f"PortAudio works and sees {len(devices)} input devices")
    try:
        device = find_device(settings.device, devices)
    except BirdwatchError as error:
        text = str(error).replace(", and see `birdwatch doctor`", "")
        yield Finding("device", "stops", text + _hidden_sound())
        return
    text = f"{device.stable}, {device.channels} channels at {device.rate_hz} Hz"
    if settings.device is not None and settings.device == str(device.index):
        yield Finding("device", "warns", f"{text}; numbers change, its lasting name is --device {device.stable!r}")
    else:
        yield Finding("device", "fine", text)


def _hidden_sound(folder: Path = Path("/dev/snd")) -> str:
    """The usual reason on Linux why there is a microphone and it cannot be used."""
    hidden = (
        [path for path in folder.glob("pcm*c") if not os.access(path, os.R_OK | os.W_OK)] if folder.is_dir() else []
    )
    return f"; {hidden[0]} is not yours to use: sudo usermod -aG audio $USER, and log in again" if hidden else ""


def _model(settings: Settings) -> Iterator[Finding]:
    fault = cuda_fault()
    if settings.provider == "cuda" and fault:
        yield Finding("provider", "stops", f"cuda was asked for and cannot be used: {fault}; or set provider = auto")
        return
    try:
        model = OnnxClassifier(find_model(settings.model), provider=settings.provider, workers=1)
        began = time.perf_counter()
        silence = np.zeros((1, model.manifest.window_frames), np.float32)
        model.score(silence)
        first_s = time.perf_counter() - began
        window_s = min(_timed(model, silence) for _ in range(TIMED_RUNS))
    except BirdwatchError as error:
        yield Finding("model", "stops", str(error))
        return
    manifest = model.manifest
    yield Finding("model", "fine", f"{manifest.name}, {len(manifest.labels)} classes, {model.sha256[:12]}")
    hint = species_hint(settings.model, len(manifest.labels))
    if hint is not None:
        yield Finding("species", "fine", hint)
    if manifest.probe is not None:
        try:
            right = replay_probe(model).passed
            text = "answers as it did where it was made" if right else "answers otherwise than where it was made"
            advice = "" if right else "; try --provider cpu, another onnxruntime, or `birdwatch model check`"
            yield Finding("answers", "fine" if right else "warns", text + advice)
        except BirdwatchError as error:
            yield Finding("answers", "warns", str(error))
    hop_s = settings.hop or manifest.window_s / 2
    speed = f"{model.provider}: {window_s * 1e3:.0f} ms a window of each {hop_s:g} s (the first {first_s * 1e3:.0f} ms)"
    if window_s > hop_s:
        yield Finding("provider", "stops", f"{speed}; too slow to keep up: a longer --hop, or a smaller model")
    elif window_s > TIGHT_PART * hop_s:
        yield Finding("provider", "warns", f"{speed}; little is left for anything else: a longer --hop helps")
    else:
        unused = (
            f"; no CUDA: {fault}" if fault and settings.provider == "auto" and Path("/dev/nvidia0").exists() else ""
        )
        yield Finding("provider", "warns" if unused else "fine", speed + unused)


def _timed(model: OnnxClassifier, samples: FloatArray) -> float:
    began = time.perf_counter()
    model.score(samples)
    return time.perf_counter() - began


def _ports(settings: Settings) -> Iterator[Finding]:
    replay = settings.replay_bind != "off" and journal_path(settings) is not None
    for name, endpoint in (("bind", settings.bind), *([("replay_bind", settings.replay_bind)] if replay else [])):
        try:
            Publisher(
                endpoint,
                Envelope(settings.station, "doctor", "doctor"),
                keys=settings.curve_keys,
                insecure=settings.insecure_bind,
            ).close()
        except ConfigError as error:
            yield Finding(name, "stops", str(error))
        except SinkError as error:
            if name == "bind" and (station := _who_is_there(endpoint)):
                # Its replay endpoint is taken by the same one.
                yield Finding(name, "warns", f"{endpoint} is that of station {station}, which is running")
                return
            yield Finding(name, "stops", str(error).replace("--bind", f"--{name.replace('_', '-')}"))
        else:
            keys = "keys are required" if settings.curve_keys else "without keys"
            yield Finding(name, "fine", f"{endpoint} is free, {keys}")


def _who_is_there(endpoint: str) -> str | None:
    """The name of a station that runs at `endpoint`, if it is one and lets us in."""
    with Subscriber(endpoint.replace("//*:", "//127.0.0.1:"), ("birdwatch/1/status/",)) as subscriber:
        message = subscriber.receive(GREETING_S)
    return None if message is None else message[0].decode().split("/")[3]


def _disk(settings: Settings) -> Iterator[Finding]:
    journal = journal_path(settings)
    places = [("journal", journal.parent, settings.journal_max_mb * 1e6)] if journal is not None else []
    if settings.save_clips is not None:
        places.append(("save_clips", settings.save_clips, settings.clips_max_gb * 1e9))
    for name, folder, wanted in places:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            text = f"{there} cannot be written to; publishing works without; or name another place"
            yield Finding(name, "warns", text)
            continue
        free = shutil.disk_usage(there).free
        text = f"{folder}, up to {wanted / 1e6:.0f} MB, {free / 1e6:.0f} MB are free"
        # What is there already counts neither way: it is part of the bound and not of what is free.
        have = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
        if free < wanted - have:
            yield Finding(name, "warns", f"{text}; lower the bound, or make room")
        else:
            yield Finding(name, "fine", text)

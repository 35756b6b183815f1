"""The mel cache: one memory-mapped array per recording, from which any window's mel powers are cut exactly.

A window's first and last spectra reach over its ends, where the front end sees zeros and a whole recording's spectra
see the neighbouring audio. So a recording's file holds three parts, float32 rows of `n_mels` (a row is a spectrum):

    rows[: spectra + m * GRID]      the spectra of the whole recording
    rows[... m + 1 more]            the first spectrum of a window at each start 0, GRID, 2 * GRID, ... m * GRID
    rows[... m + 1 more]            the last spectrum of these windows

`crop` puts them together; the result equals `birdwatch.model.frontend.mel_power` of that window's samples. Up to GRID
spectra (0.128 s) at a recording's end are not in the cache. About 144 MB an hour of audio.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

from birdwatch.atomic_write import written_beside
from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError, SinkError
from birdwatch.model.frontend import FrontendSpec, mel_power

__all__ = ["GRID", "MelCache", "crop", "stored_mels", "tiled", "window_starts"]

# Windows start at multiples of this many spectra: 0.128 s. Finer costs space (2 / GRID), coarser costs variety.
GRID = 8
# Spectra computed at once: bounds the memory that a recording of an hour takes.
CHUNK = 4096


def tiled(samples: FloatArray, window_frames: int) -> FloatArray:
    """Samples `(n,)`, repeated to one window if they are shorter, as the published pipeline does."""
    if len(samples) == 0:
        raise ValueError("there are no samples to tile")
    if len(samples) >= window_frames:
        return samples
    return np.resize(samples, window_frames)


def stored_mels(samples: FloatArray, spec: FrontendSpec) -> FloatArray:
    """The cache's rows for samples `(n,)`, at least a window: float32 `(spectra + m * GRID + 2 * (m + 1), n_mels)`."""
    if 2 * spec.hop_frames < spec.n_fft:
        raise ConfigError(
            f"the mel cache needs a hop of at least half an FFT, so that only a window's first and last spectrum reach "
            f"over its ends; hop_frames is {spec.hop_frames}, n_fft {spec.n_fft}"
        )
    step = GRID * spec.hop_frames
    m = (len(samples) - spec.window_frames) // step
    used = samples[: spec.window_frames + m * step]
    columns = spec.spectra + m * GRID
    parts = []
    for start in range(0, columns, CHUNK):
        stop = min(start + CHUNK, columns)
        first = max(start - 1, 0)
        chunk = used[first * spec.hop_frames : (stop + 1) * spec.hop_frames]
        parts.append(mel_power(chunk[None], spec)[0, :, start - first : stop - first])
    starts = np.arange(m + 1) * step
    heads = np.stack([used[s : s + spec.hop_frames] for s in starts])
    first_spectra = mel_power(heads, spec)[:, :, 0]
    # One hop before the last spectrum's centre is as far back as it sees.
    tail = spec.spectra - 2
    ends = np.stack([used[s + tail * spec.hop_frames : s + spec.window_frames] for s in starts])
    last_spectra = mel_power(ends, spec)[:, :, 1]
    return np.concatenate([np.concatenate(parts, axis=1).T, first_spectra, last_spectra])


def window_starts(rows: int, spec: FrontendSpec) -> int:
    """How many window starts (0, GRID, 2 * GRID, ...) a cached array of `rows` rows has."""
    return (rows - spec.spectra - 2) // (GRID + 2) + 1


def crop(rows: FloatArray, start: int, spec: FrontendSpec) -> FloatArray:
    """Mel powers of the window at start number `start` (of `window_starts`), float32 `(spectra, n_mels)`, a copy."""
    starts = window_starts(len(rows), spec)
    if not 0 <= start < starts:
        raise IndexError(f"start {start} of {starts}")
    columns = spec.spectra + (starts - 1) * GRID
    window = np.array(rows[start * GRID : start * GRID + spec.spectra])
    window[0] = rows[columns + start]
    window[-1] = rows[columns + starts + start]
    return window


@dataclass(frozen=True, slots=True)
class MelCache:
    """A folder of such arrays for one front end.

    centre: holds only the centre window of each recording. The folder says what it holds in `cache.json`, and is
    refused for anything else.
    """

    folder: Path
    spec: FrontendSpec
    centre: bool

    @classmethod
    def open(cls, folder: Path, spec: FrontendSpec, *, centre: bool) -> MelCache:
        """The cache in `folder`, made if there is none; raises ConfigError if it holds something else."""
        description = {
            "schema": 1,
            "grid": GRID,
            "fingerprint": spec.fingerprint,
            "windows": "centre" if centre else "all",
        }
        note = folder / "cache.json"
        if note.exists():
            try:
                found = json.loads(note.read_text("utf-8"))
            except json.JSONDecodeError:
                raise ConfigError(f"{note} is damaged; delete the folder and prepare it again") from None
            differing = [key for key, value in description.items() if found.get(key) != value]
            # The whole recordings hold the centre, too.
            if differing and not (centre and differing == ["windows"]):
                holds = ", ".join(f"{key} {found.get(key)!r}" for key in differing)
                needed = ", ".join(f"{key} {description[key]!r}" for key in differing)
                raise ConfigError(
                    f"the mel cache {folder} holds {holds}, but {needed} is needed; give another --cache folder"
                )
            return cls(folder, spec, found["windows"] == "centre")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise ConfigError(f"{folder} is not empty and not a mel cache; give another --cache folder")
            note.write_text(json.dumps(description | {"frontend": asdict(spec)}, indent=1) + "\n", "utf-8")
        except OSError as error:
            raise ConfigError(f"the mel cache {folder} cannot be made: {error.strerror}") from None
        return cls(folder, spec, centre)

    def path_of(self, audio: Path, filename: str) -> Path:
        """Where the array of `audio` belongs; the name changes with the file's content. Raises OSError without it."""
        size = audio.stat().st_size
        with audio.open("rb") as stream:
            digest = hashlib.sha256(str(size).encode() + stream.read(4096))
            stream.seek(max(size - 4096, 0))
            digest.update(stream.read(4096))
        return self.folder / f"{filename}.{digest.hexdigest()[:12]}.npy"

    def write(self, path: Path, samples: FloatArray) -> None:
        """Compute and write the array of a recording's samples `(n,)`, whole or not at all."""
        samples = tiled(samples, self.spec.window_frames)
        if self.centre:
            start = (len(samples) - self.spec.window_frames) // 2
            samples = samples[start : start + self.spec.window_frames]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"the mel cache {path.parent} cannot be made: {error.strerror}") from None
        # Two runs may fill one cache at once: each writes under a name of its own.
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        with written_beside(mine, binary=True) as stream:
            np.save(cast("IO[bytes]", stream), stored_mels(samples, self.spec))
        mine.replace(path)

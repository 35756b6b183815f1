"""The numbers that define the front end: two equal specs give equal images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from birdwatch.errors import ConfigError
from birdwatch.model.manifest_faults import frontend_faults, shown

__all__ = ["FrontendSpec"]


@dataclass(frozen=True, slots=True)
class FrontendSpec:
    """Every number that defines the front end; two specs that are equal give equal images.

    Units are in the names. `height` and `width` are the image's mel and time pixels. The string fields admit one
    value today; they are written out so that a model file says them and another value is refused, not guessed.
    """

    rate_hz: int = 32000
    window_frames: int = 160000
    n_fft: int = 1024
    hop_frames: int = 512
    n_mels: int = 128
    fmin_hz: float = 50.0
    fmax_hz: float = 14000.0
    top_db: float = 80.0
    height: int = 256
    width: int = 256
    mel_scale: str = "slaney"
    mel_norm: str = "slaney"
    fft_window: str = "hann"
    scaling: str = "min-max"
    resize: str = "bilinear"

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {shown(getattr(self, name))}, this version knows only {known!r}"
            for name, known in (
                ("mel_scale", "slaney"),
                ("mel_norm", "slaney"),
                ("fft_window", "hann"),
                ("scaling", "min-max"),
                ("resize", "bilinear"),
            )
            if getattr(self, name) != known
        ]
        # Sizes and types first: the rest compares numbers.
        numbers = frontend_faults({item.name: getattr(self, item.name) for item in fields(self)})
        faults += numbers
        if not numbers and not 0 <= self.fmin_hz < self.fmax_hz <= self.rate_hz / 2:
            faults.append(
                f"fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz} must satisfy 0 <= fmin < fmax <= "
                f"half of rate_hz ({self.rate_hz / 2})"
            )
        if not numbers and self.top_db <= 0:
            faults.append(f"top_db is {self.top_db}, it must be above 0")
        if faults:
            raise ConfigError("front end: " + "; ".join(faults))

    @property
    def spectra(self) -> int:
        """Number of spectra (columns before the resize) in a window, its ends padded by half an FFT."""
        return 1 + self.window_frames // self.hop_frames

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any field: the key of mel caches and of models."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FrontendSpec:
        """The spec that `dataclasses.asdict` wrote; unknown and missing fields raise ConfigError."""
        known = {field.name for field in fields(cls)}
        unknown, missing = sorted(set(values) - known), sorted(known - set(values))
        if unknown or missing:
            raise ConfigError(f"front end: unknown fields {shown(unknown)}, missing fields {missing}")
        return cls(**values)

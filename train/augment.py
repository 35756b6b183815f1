"""Augmentations, each a function of a batch on its device; the random numbers come from one NumPy generator.

Powers are mel powers float32 `(B, n_mels, T)`, images float32 `(B, 1, H, W)` in 0..1, targets float32 `(B, classes)`.
`chosen` is a boolean array `(B,)`: windows that are not chosen are returned unchanged.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

__all__ = [
    "brightness",
    "equalise",
    "frequency_masks",
    "gain",
    "high_pass",
    "low_pass",
    "mel_shift",
    "mix_powers",
    "mix_values",
    "noise_floor",
    "padded_tail",
    "time_masks",
    "uniform_db",
]

Chosen = npt.NDArray[np.bool_]
# The narrowest mask of the published recipe, pixels.
NARROWEST = 5
# Control points of a random equaliser over the mel axis.
EQUALISER_POINTS = 6


def _on(values: npt.NDArray[np.generic], like: torch.Tensor) -> torch.Tensor:
    """Values on the device of `like`; floats as float32."""
    array = values.astype(np.float32) if values.dtype.kind == "f" else values
    return torch.from_numpy(array).to(like.device, non_blocking=True)


def uniform_db(rng: np.random.Generator, size: int, low_db: float, high_db: float) -> npt.NDArray[np.float64]:
    """Power ratios `(size,)`, uniform in decibels."""
    return np.asarray(10.0 ** (rng.uniform(low_db, high_db, size) / 10.0))


def _masks(
    batch: int, length: int, most: int, widest: int, chosen: Chosen, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """True `(B, length)` where one of 1 to `most` masks of 5 to `widest` pixels lies."""
    widest = min(widest, length)
    count = rng.integers(1, most + 1, (batch, 1))
    width = rng.integers(min(NARROWEST, widest), widest + 1, (batch, most))
    start = rng.integers(0, length - width + 1)
    used = (np.arange(most) < count) & chosen[:, None]  # (B, masks)
    position = np.arange(length)[:, None]
    inside = (position >= start[:, None]) & (position < (start + width)[:, None])  # (B, length, masks)
    return np.asarray((inside & used[:, None]).any(axis=2))


def time_masks(
    images: torch.Tensor, *, most: int, widest: int, chosen: Chosen, rng: np.random.Generator
) -> torch.Tensor:
    """Images `(B, 1, H, W)` with 1 to `most` stripes of 5 to `widest` columns set to zero."""
    mask = _masks(len(images), images.shape[3], most, widest, chosen, rng)
    return images.masked_fill(_on(mask, images)[:, None, None, :], 0.0)


def frequency_masks(
    images: torch.Tensor, *, most: int, widest: int, chosen: Chosen, rng: np.random.Generator
) -> torch.Tensor:
    """Images `(B, 1, H, W)` with 1 to `most` stripes of 5 to `widest` rows set to zero."""
    mask = _masks(len(images), images.shape[2], most, widest, chosen, rng)
    return images.masked_fill(_on(mask, images)[:, None, :, None], 0.0)


def brightness(
    images: torch.Tensor, *, spread: float, shift: float, chosen: Chosen, rng: np.random.Generator
) -> torch.Tensor:
    """Images `(B, 1, H, W)` times 1 +- `spread`, plus +- `shift`, clipped to 0..1."""
    factor = np.where(chosen, rng.uniform(1.0 - spread, 1.0 + spread, len(images)), 1.0)
    offset = np.where(chosen, rng.uniform(-shift, shift, len(images)), 0.0)
    return (images * _on(factor, images)[:, None, None, None] + _on(offset, images)[:, None, None, None]).clamp(0, 1)


def mix_values(values: torch.Tensor, others: torch.Tensor, share: npt.NDArray[np.float64]) -> torch.Tensor:
    """`share * values + (1 - share) * others` for tensors `(B, ...)` and shares `(B,)`: images and their targets."""
    weight = _on(share, values).reshape(-1, *[1] * (values.ndim - 1))
    return weight * values + (1.0 - weight) * others


def mix_powers(power: torch.Tensor, other: torch.Tensor, ratio: npt.NDArray[np.float64]) -> torch.Tensor:
    """Powers `(B, n_mels, T)` with `other` added at `ratio` `(B,)` of their own mean power, as two sounds add.

    Ratio 0 adds nothing. Digital silence stays what it is as `other`, and takes `other` as it is underneath.
    """
    own = power.mean(dim=(1, 2), keepdim=True)
    theirs = other.mean(dim=(1, 2), keepdim=True)
    level = torch.where((own > 0) & (theirs > 0), own / theirs.clamp_min(1e-30), torch.ones_like(own))
    scale = level * _on(ratio, power)[:, None, None]
    return power + scale * other


def gain(power: torch.Tensor, ratio: npt.NDArray[np.float64]) -> torch.Tensor:
    """Powers `(B, n_mels, T)` times `ratio` `(B,)`, which only affects sounds that are mixed in afterwards."""
    return power * _on(ratio, power)[:, None, None]


def equalise(power: torch.Tensor, *, spread_db: float, chosen: Chosen, rng: np.random.Generator) -> torch.Tensor:
    """Powers `(B, n_mels, T)` through a random smooth equaliser of +- `spread_db`: another microphone, another room."""
    batch, mels, _ = power.shape
    points_db = rng.uniform(-spread_db, spread_db, (batch, EQUALISER_POINTS)) * chosen[:, None]
    position = np.linspace(0.0, EQUALISER_POINTS - 1.0, mels)
    curve_db = np.stack([np.interp(position, np.arange(EQUALISER_POINTS), row) for row in points_db])
    return power * _on(10.0 ** (curve_db / 10.0), power)[:, :, None]


def noise_floor(power: torch.Tensor, ratio: npt.NDArray[np.float64]) -> torch.Tensor:
    """Powers `(B, n_mels, T)` with noise of mean `ratio` `(B,)` of their loudest bin; ratio 0 adds nothing.

    A spectrum's power in Gaussian noise is exponential; the numbers come from torch's own generator of the device.
    """
    level = power.amax(dim=(1, 2), keepdim=True) * _on(ratio, power)[:, None, None]
    return power + level * torch.empty_like(power).exponential_()


def low_pass(power: torch.Tensor, *, least: float, chosen: Chosen, rng: np.random.Generator) -> torch.Tensor:
    """Powers `(B, n_mels, T)` cut above a share of the mel axis drawn from `least` to 1: a codec's or a filter's limit.

    The slope is 6 dB a mel band, down to 90 dB.
    """
    batch, mels, _ = power.shape
    edge = rng.uniform(least, 1.0, batch) * mels
    down_db = np.clip(6.0 * (np.arange(mels) - edge[:, None]), 0.0, 90.0) * chosen[:, None]
    return power * _on(10.0 ** (-down_db / 10.0), power)[:, :, None]


def high_pass(power: torch.Tensor, *, most: float, chosen: Chosen, rng: np.random.Generator) -> torch.Tensor:
    """Powers `(B, n_mels, T)` cut below a share of the mel axis drawn from 0 to `most`: a recorder's rumble filter.

    The slope is 6 dB a mel band, down to 40 dB.
    """
    batch, mels, _ = power.shape
    edge = rng.uniform(0.0, most, batch) * mels
    down_db = np.clip(6.0 * (edge[:, None] - np.arange(mels)), 0.0, 40.0) * chosen[:, None]
    return power * _on(10.0 ** (-down_db / 10.0), power)[:, :, None]


def mel_shift(power: torch.Tensor, *, most: int, chosen: Chosen, rng: np.random.Generator) -> torch.Tensor:
    """Powers `(B, n_mels, T)` moved by up to `most` bands up or down; the band at the end is repeated.

    A band is some 4 % of the frequency above 1 kHz: individuals differ by as much.
    """
    batch, mels, _ = power.shape
    shift = rng.integers(-most, most + 1, batch) * chosen
    rows = np.clip(np.arange(mels) - shift[:, None], 0, mels - 1)  # (B, mels)
    return power.gather(1, _on(rows, power)[:, :, None].expand_as(power))


def padded_tail(power: torch.Tensor, *, chosen: Chosen, rng: np.random.Generator) -> torch.Tensor:
    """Powers `(B, n_mels, T)` with zeros after 45 to 95 % of the time, as a recording's last window is padded."""
    batch, _, spectra = power.shape
    end = np.where(chosen, rng.uniform(0.45, 0.95, batch) * spectra, spectra)
    return power * _on((np.arange(spectra) < end[:, None]).astype(np.float32), power)[:, None, :]

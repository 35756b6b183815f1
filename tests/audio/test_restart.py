"""A resampler that begins in the middle gives the bits of one that began at the start."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatch.audio.resample import Resampler, ResamplerKind
from birdwatch.audio.restart import SETTLING_S, restart_period
from birdwatch.audio.types import AudioBlock, FloatArray


def resampled(samples: FloatArray, first: int, rates: tuple[int, int], kind: ResamplerKind, step: int) -> FloatArray:
    """The output of a stream that begins at frame `first`, in blocks of `step` frames, placed by its frame numbers."""
    resampler = Resampler(*rates, kind=kind)
    blocks = []
    for at in range(first, len(samples), step):
        blocks += resampler.push(AudioBlock(samples[at : at + step], at, rates[0]))
    blocks += resampler.finish()
    out = np.full(blocks[-1].end_frame, np.nan, np.float32)
    for block in blocks:
        out[block.start_frame : block.end_frame] = block.samples
    return out


@pytest.mark.parametrize(
    ("rate_hz", "out_rate_hz", "kind"),
    [
        (48000, 32000, "soxr"),
        (44100, 32000, "soxr"),
        (22050, 32000, "soxr"),
        (16000, 32000, "soxr"),
        (96000, 32000, "soxr"),
        (250000, 32000, "soxr"),
        (384000, 32000, "soxr"),
        (32000, 48000, "soxr"),
        (44100, 48000, "kaiser_fast"),
        (22050, 48000, "kaiser_fast"),
        (96000, 48000, "kaiser_fast"),
    ],
)
def test_the_bits_are_those_of_the_whole_stream(rate_hz: int, out_rate_hz: int, kind: ResamplerKind) -> None:
    period = restart_period(rate_hz, out_rate_hz, kind=kind)
    assert period is not None
    times = max(2, 3 * rate_hz // period)
    noise = np.random.default_rng(1).standard_normal(times * period + 2 * rate_hz + 77, np.float32)
    whole = resampled(noise, 0, (rate_hz, out_rate_hz), kind, 65536)
    part = resampled(noise, times * period, (rate_hz, out_rate_hz), kind, 4099)
    first = round(times * period / rate_hz * out_rate_hz) + round(SETTLING_S * out_rate_hz)
    assert len(whole) == len(part)
    assert len(whole) - first > out_rate_hz
    np.testing.assert_array_equal(part[first:], whole[first:])


def test_elsewhere_they_are_not() -> None:
    period = restart_period(48000, 32000, kind="soxr")
    assert period is not None
    noise = np.random.default_rng(1).standard_normal(3 * 48000, np.float32)
    whole = resampled(noise, 0, (48000, 32000), "soxr", 65536)
    part = resampled(noise, period - 3, (48000, 32000), "soxr", 65536)
    np.testing.assert_allclose(part[32000:], whole[32000:], atol=1e-5)
    assert not np.array_equal(part[32000:], whole[32000:])


def test_the_same_rate_restarts_anywhere_and_odd_rates_nowhere() -> None:
    assert restart_period(32000, 32000, kind="soxr") == 1
    assert restart_period(47999, 32000, kind="soxr") is None

"""The stream equals resampy's `kaiser_fast`, whatever the rates, and however it is chopped."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatch.audio.kaiser_fast import KaiserStream, kaiser_possible

RATES = [
    (32000, 48000),
    (44100, 48000),
    (48000, 32000),
    (96000, 48000),
    (192000, 48000),
    (16000, 48000),
    (22050, 48000),
    (50000, 48000),
    (250000, 48000),
    (8000, 48000),
]


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 0.1, frames).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("rate_hz", "out_hz"), RATES)
def test_equals_resampy(rate_hz: int, out_hz: int) -> None:
    resampy = pytest.importorskip("resampy", reason="the oracle is resampy: pip install resampy")
    for samples in (noise(rate_hz // 3), noise(101)):
        expected = resampy.resample(samples, rate_hz, out_hz, filter="kaiser_fast")
        found = KaiserStream(rate_hz, out_hz).resample_chunk(samples, last=True)
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        # Where an output falls on an input, its float time may lie just before: another pair of taps, near the same.
        np.testing.assert_allclose(found, expected, atol=1e-6 if rate_hz != 250000 else 1e-4)


@pytest.mark.parametrize(("rate_hz", "out_hz"), RATES)
def test_chopping_changes_no_bit(rate_hz: int, out_hz: int) -> None:
    samples = noise(rate_hz // 2)
    whole = KaiserStream(rate_hz, out_hz).resample_chunk(samples, last=True)
    assert len(whole) == len(samples) * out_hz // rate_hz
    for sizes in ([1, 2, 4095, 7], [1], [30000]):
        stream, parts, start = KaiserStream(rate_hz, out_hz), [], 0
        for number in range(200):
            size = sizes[number % len(sizes)]
            parts.append(stream.resample_chunk(samples[start : start + size]))
            start += size
        parts.append(stream.resample_chunk(samples[start:]))
        parts.append(stream.resample_chunk(samples[:0], last=True))
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_tone_keeps_its_place() -> None:
    t = np.arange(32000) / 32000
    tone = np.sin(2 * np.pi * 1000 * t).astype(np.float32)
    found = KaiserStream(32000, 48000).resample_chunk(tone, last=True)
    expected = np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000)
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=2e-3)


def test_nothing_gives_nothing() -> None:
    stream = KaiserStream(32000, 48000)
    assert len(stream.resample_chunk(noise(0))) == 0
    assert len(stream.resample_chunk(noise(0), last=True)) == 0


def test_rates_without_a_common_divisor_are_not_possible() -> None:
    assert all(kaiser_possible(*rates) for rates in RATES)
    assert not kaiser_possible(47999, 48000)

"""Gain and high-pass: levels at known frequencies, and the same result however a stream is cut."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal  # noqa: F401  # imported here, not within the time limit of one example
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.conditioning import Conditioner, Conditioning
from birdwatch.audio.types import AudioBlock

RATE_HZ = 48000


def tone(frequency_hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    # The second half: the filter has settled.
    return float(20 * np.log10(np.sqrt(2 * np.mean(np.square(samples[RATE_HZ // 2 :], dtype=np.float64)))))


@pytest.mark.parametrize(
    ("frequency_hz", "expected_db", "within"), [(200, -3.01, 0.05), (100, -24.1, 0.5), (2000, 0.0, 0.05)]
)
def test_a_butterworth_filter_of_fourth_order(frequency_hz, expected_db, within) -> None:
    conditioner = Conditioner(Conditioning(high_pass_hz=200.0), RATE_HZ)
    out = conditioner.push(AudioBlock(tone(frequency_hz), 0, RATE_HZ))
    assert level_db(out.samples) == pytest.approx(expected_db, abs=within)


def test_gain_is_in_decibels_and_nothing_is_copied_where_nothing_is_done() -> None:
    block = AudioBlock(tone(1000), 0, RATE_HZ)
    assert level_db(Conditioner(Conditioning(gain_db=-12.0), RATE_HZ).push(block).samples) == pytest.approx(
        -12.0, abs=0.01
    )
    assert Conditioner(Conditioning(), RATE_HZ).push(block) is block


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_the_result_does_not_depend_on_the_cuts(lengths) -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 0.1, sum(lengths)).astype(np.float32)
    samples[len(samples) // 2] = np.nan
    conditioning = Conditioning(gain_db=3.0, high_pass_hz=500.0)
    whole = Conditioner(conditioning, RATE_HZ).push(AudioBlock(samples, 0, RATE_HZ)).samples
    conditioner, parts, start = Conditioner(conditioning, RATE_HZ), [], 0
    for length in lengths:
        parts.append(conditioner.push(AudioBlock(samples[start : start + length], start, RATE_HZ)).samples)
        start += length
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.isnan(whole).sum() == 1

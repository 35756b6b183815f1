"""The level meter: what it shows for a sine, and what it flags."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatch.audio.levels import FLOOR_DB, LevelMeter, is_constant

RATE_HZ = 8000
T = np.arange(RATE_HZ) / RATE_HZ
SINE = np.sin(2 * np.pi * 440 * T)


def level_of(samples):
    meter = LevelMeter(RATE_HZ)
    for part in np.array_split(np.asarray(samples, np.float32), 7):
        meter.push(part)
    return meter.level


def test_a_sine_of_half_of_full_scale():
    level = level_of(0.5 * SINE)
    assert level.rms_db == pytest.approx(-9.03, abs=0.01)
    assert level.peak_db == pytest.approx(-6.02, abs=0.01)
    assert level.flags == ()


@pytest.mark.parametrize(
    ("samples", "flags"),
    [
        (np.zeros(RATE_HZ), ("digital-zero",)),
        (np.full(RATE_HZ, 0.25), ("stuck",)),
        (np.full(RATE_HZ, 1.0), ("stuck",)),
        (0.4 + 0.01 * SINE, ("dc",)),
        (np.clip(3 * SINE, -1, 1), ("clipping",)),
        (np.clip(3 * SINE, -1, 32767 / 32768), ("clipping",)),
        (1e-4 * SINE, ()),
    ],
)
def test_what_is_flagged(samples, flags):
    assert level_of(samples).flags == flags


def test_zero_is_the_floor_and_no_minus_infinity():
    assert level_of(np.zeros(RATE_HZ)).rms_db == FLOOR_DB


def test_constant():
    assert is_constant(np.full(9, 0.1, np.float32))
    assert not is_constant(np.array([0, 0, 1e-7], np.float32))
    assert not is_constant(np.zeros(0, np.float32))
    late = np.zeros(1000, np.float32)
    assert is_constant(late)
    late[-1] = 1e-7
    assert not is_constant(late)

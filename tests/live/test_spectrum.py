"""Columns of the live mel image: their levels, their times, and that nothing is computed without a subscription."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatch.audio.limits import RATES_HZ
from birdwatch.audio.types import AudioBlock
from birdwatch.live.spectrum import SpectrumFeed
from birdwatch.model.frontend import FrontendSpec, mel_filterbank


def feed(samples, rate_hz, *, wanted=True, block=4800, start=0):
    out = []
    spectrum = SpectrumFeed(lambda: wanted, out.append)
    for begin in range(0, len(samples), block):
        spectrum.push(AudioBlock(samples[begin : begin + block].astype(np.float32), start + begin, rate_hz))
    return out


@pytest.mark.parametrize("rate_hz", [32000, 44100, 48000])
def test_a_full_scale_sine_at_the_centre_of_a_band_is_at_the_ceiling(rate_hz):
    band = 90
    filters = mel_filterbank(FrontendSpec(rate_hz=rate_hz, n_fft=1024))
    bin_hz = rate_hz / 1024
    # The middle of the bins that the band weighs most.
    centre_hz = float((filters[band] * np.arange(513)).sum() / filters[band].sum()) * bin_hz
    sine = np.sin(2 * np.pi * centre_hz * np.arange(2 * rate_hz) / rate_hz)
    spectra = feed(sine, rate_hz, block=777)
    assert len(spectra) == 4
    for spectrum in spectra:
        assert spectrum.levels.shape == (5, 128)
        assert spectrum.levels.dtype == np.uint8
        for column in spectrum.levels:
            assert abs(int(column.argmax()) - band) <= 1
            assert column.max() >= 247  # 3 dB
            assert column[:60].max() < 128
    assert [spectrum.start_frame for spectrum in spectra] == [n * 5 * (rate_hz // 10) for n in range(4)]
    loud, quiet = feed(sine * 0.3, rate_hz)[0], feed(sine * 0.003, rate_hz)[0]
    assert int(loud.levels[0].max()) - int(quiet.levels[0].max()) == pytest.approx(40 * 2.55, abs=1)


def test_silence_is_at_the_floor_and_columns_do_not_depend_on_the_cuts():
    assert feed(np.zeros(32000), 32000)[0].levels.max() == 0
    noise = np.random.default_rng(0).normal(0, 0.1, 64000)
    for one, other in zip(feed(noise, 32000, block=64000), feed(noise, 32000, block=331), strict=True):
        np.testing.assert_array_equal(one.levels, other.levels)


def test_nothing_is_computed_without_a_subscription():
    assert feed(np.ones(32000), 32000, wanted=False) == []


def test_columns_begin_anew_behind_missing_frames():
    out = []
    spectrum = SpectrumFeed(lambda: True, out.append)
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    spectrum.push(AudioBlock(noise[:9000], 0, 32000))
    spectrum.push(AudioBlock(noise, 50000, 32000))
    assert [one.start_frame for one in out] == [50000]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_any_rate_that_a_source_may_have_gives_columns(rate_hz):
    (spectrum, *_) = feed(np.random.default_rng(0).normal(0, 0.1, rate_hz), rate_hz, block=rate_hz // 20)
    assert spectrum.levels.shape == (5, 128)
    assert spectrum.levels.max() > 0

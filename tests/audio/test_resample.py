from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 30000).astype(np.float32)


def resample(samples: np.ndarray, cuts: list[int], rate_hz: int = 44100) -> list[AudioBlock]:
    resampler = Resampler(rate_hz, 32000)
    out = []
    edges = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    for start, end in pairwise(edges):
        out += resampler.push(AudioBlock(samples[start:end], start, rate_hz))
    return out + resampler.finish()


def joined(blocks: list[AudioBlock]) -> np.ndarray:
    for before, after in pairwise(blocks):
        assert after.start_frame == before.end_frame
    return np.concatenate([block.samples for block in blocks]) if blocks else np.zeros(0, np.float32)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 30000), max_size=40), rate_hz=st.sampled_from([8000, 22050, 44100, 48000, 192000]))
def test_chopped_equals_whole_bit_for_bit(cuts, rate_hz):
    whole = soxr.resample(NOISE, rate_hz, 32000, quality="HQ")
    np.testing.assert_array_equal(joined(resample(NOISE, cuts, rate_hz)), whole)


@pytest.mark.parametrize("n", [0, 1, 2, 440, 441, 442])
def test_short_streams_equal_soxr(n):
    np.testing.assert_array_equal(joined(resample(NOISE[:n], [])), soxr.resample(NOISE[:n], 44100, 32000))


def test_a_tone_keeps_its_frequency_and_height():
    t = np.arange(44100) / 44100
    out = joined(resample(np.sin(2 * np.pi * 1000 * t).astype(np.float32), [10000]))
    expected = np.sin(2 * np.pi * 1000 * np.arange(32000) / 32000)
    assert len(out) == 32000
    np.testing.assert_allclose(out[500:-500], expected[500:-500], atol=1e-4)


def test_the_same_rate_passes_blocks_through():
    block = AudioBlock(NOISE, 7, 32000)
    resampler = Resampler(32000, 32000)
    assert resampler.push(block) == [block]
    assert resampler.finish() == []


def test_a_hole_ends_the_stream_and_begins_another():
    resampler = Resampler(44100, 32000)
    first, second = NOISE[:20000], NOISE[20000:]
    out = resampler.push(AudioBlock(first, 0, 44100))
    out += resampler.push(AudioBlock(second, 44100, 44100)) + resampler.finish()
    split = next(i for i, block in enumerate(out) if block.start_frame == 32000)
    np.testing.assert_array_equal(joined(out[:split]), soxr.resample(first, 44100, 32000))
    np.testing.assert_array_equal(joined(out[split:]), soxr.resample(second, 44100, 32000))


def test_a_block_at_another_rate_is_refused():
    with pytest.raises(ValueError, match="48000 Hz in a stream at 44100"):
        Resampler(44100, 32000).push(AudioBlock(NOISE, 0, 48000))


@pytest.mark.slow
def test_a_model_that_was_trained_with_kaiser_fast_is_scored_with_it() -> None:
    resampy = pytest.importorskip("resampy", reason="the oracle is resampy: pip install resampy")
    resampler = Resampler(44100, 48000, kind="kaiser_fast")
    blocks = [
        *resampler.push(AudioBlock(NOISE[:30000], 0, 44100)),
        *resampler.push(AudioBlock(NOISE[30000:], 30000, 44100)),
    ]
    blocks += resampler.finish()
    assert blocks[0].start_frame == 0
    found = np.concatenate([block.samples for block in blocks])
    expected = resampy.resample(NOISE, 44100, 48000, filter="kaiser_fast")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_between_odd_rates_soxr_takes_over() -> None:
    resampler = Resampler(47999, 48000, kind="kaiser_fast")
    assert sum(len(block.samples) for block in [*resampler.push(AudioBlock(NOISE, 0, 47999)), *resampler.finish()]) > 0

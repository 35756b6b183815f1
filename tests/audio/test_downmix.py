from __future__ import annotations

import numpy as np
import pytest

from birdwatch.audio.downmix import mono


@pytest.mark.parametrize("channels", [1, 2, 3, 16, 40])
def test_the_mean_depends_on_neither_the_layout_nor_the_number_of_frames(channels: int) -> None:
    samples = np.random.default_rng(channels).normal(0, 0.3, (701, channels)).astype(np.float32)
    whole = mono(samples, None)
    np.testing.assert_allclose(whole, samples.astype(np.float64).mean(axis=1), atol=1e-6)
    assert mono(np.asfortranarray(samples), None).tobytes() == whole.tobytes()
    assert mono(np.repeat(samples, 2, axis=1)[:, ::2], None).tobytes() == whole.tobytes()
    assert b"".join(mono(row[None], None).tobytes() for row in samples) == whole.tobytes()


def test_one_channel_is_as_it_is_and_a_missing_one_is_the_last() -> None:
    samples = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert mono(samples, 0).tolist() == [0, 2, 4]
    assert mono(samples, 1).tolist() == mono(samples, 7).tolist() == [1, 3, 5]
    assert mono(samples, 0).flags.c_contiguous


def test_opposite_infinities_are_nan_without_a_warning() -> None:
    largest = np.finfo(np.float32).max
    samples = np.array([[np.inf, -np.inf], [np.inf, 1.0], [largest, largest]], np.float32)
    mean = mono(samples, None)
    assert not np.isfinite(mean[:2]).any()
    assert np.isnan(mean[0])

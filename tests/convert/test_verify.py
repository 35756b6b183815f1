"""The check before a converted network is written: it passes what is equal and names what is not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="needs the extra 'models': pip install 'birdwatch[models]'")

from birdwatch.audio.types import FloatArray
from birdwatch.convert.verify import probe_sounds, verify
from birdwatch.errors import ModelError

INPUTS = {name: np.full(4, number, np.float32) for number, name in enumerate("abcde")}


def doubled(inputs: FloatArray) -> FloatArray:
    return 2 * inputs


def test_equal_networks_pass_and_the_difference_is_reported() -> None:
    def near(inputs: FloatArray) -> FloatArray:
        return 2 * inputs + np.float32(1e-4)

    assert verify(doubled, doubled, INPUTS, tolerance=1e-3, batches=(1, 8)) == 0.0
    assert verify(doubled, near, INPUTS, tolerance=1e-3, batches=(1, 8)) == pytest.approx(1e-4, rel=0.01)


def test_each_batch_is_filled() -> None:
    seen: list[int] = []

    def watched(inputs: FloatArray) -> FloatArray:
        seen.append(len(inputs))
        return doubled(inputs)

    verify(doubled, watched, INPUTS, tolerance=1e-3, batches=(1, 8))
    assert seen == [1, 1, 1, 1, 1, 8]


@pytest.mark.parametrize("wrong", [0.5, np.nan])
def test_the_input_that_differs_is_named(wrong: float) -> None:
    def converted(inputs: FloatArray) -> FloatArray:
        return np.where(inputs == 3, np.float32(wrong), 2 * inputs)

    with pytest.raises(ModelError, match=r"more than 0.001: d "):
        verify(doubled, converted, INPUTS, tolerance=1e-3, batches=(1,))


def test_one_window_s_scores_must_not_depend_on_its_neighbours() -> None:
    def mixed(inputs: FloatArray) -> FloatArray:
        return 2 * inputs + (inputs.mean() if len(inputs) > 1 else np.float32(0))

    assert verify(doubled, mixed, INPUTS, tolerance=1e-3, batches=(1,)) == 0.0
    with pytest.raises(ModelError):
        verify(doubled, mixed, INPUTS, tolerance=1e-3, batches=(1, 8))


def test_the_made_up_sounds_are_audio_and_always_the_same() -> None:
    sounds, again = probe_sounds(48000, 4800), probe_sounds(48000, 4800)
    assert len(sounds) >= 8
    for name, sound in sounds.items():
        assert sound.dtype == np.float32
        assert sound.shape == (4800,)
        assert np.abs(sound).max() <= 1.0
        np.testing.assert_array_equal(sound, again[name])
    assert not sounds["silence"].any()

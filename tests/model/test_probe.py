from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from tiny_model import manifest

from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest
from birdwatch.model.probe import RECIPE, Probe, probe_clips, replay_probe


def hashed_noise(n: int, seed: int) -> int:
    """The noise of one frame with Python's own integers, which never overflow."""
    h = (n + seed * 0x9E3779B1) % 2**32
    h = ((h ^ (h >> 16)) * 0x7FEB352D) % 2**32
    h = ((h ^ (h >> 15)) * 0x46CA6B35) % 2**32
    h ^= h >> 16
    return (h >> 16) % 65535 - 32767


def test_clips_are_the_recipes_bit_for_bit() -> None:
    """Golden: the hash of the clips for 5 s at 32 kHz. It changes only together with RECIPE."""
    clips = probe_clips(160000)
    probe = Probe.of_scores(np.zeros((4, 2), np.float32), clips, tolerance=1e-3, tolerance_log_odds=0.05)
    assert RECIPE == "integer-clips-1"
    assert probe.sha256 == "65e69d81caa4dd317734c2ef40f4896635531ca51def50a8789b0d3c4ace2ddc"


def test_noise_equals_unbounded_integers() -> None:
    noise = probe_clips(1000)[2]
    assert [float(x) * 32768 for x in noise[:50]] == [hashed_noise(n, 3) for n in range(50)]


@pytest.mark.parametrize("frames", [1, 100, 15600, 144000, 160000, 480000])
def test_clips_fit_any_window(frames: int) -> None:
    clips = probe_clips(frames)
    assert clips.shape == (4, frames)
    assert clips.dtype == np.float32
    assert np.abs(clips).max() <= 1.0
    assert not clips[3].any()
    # Whole numbers of 1 / 32768: nothing was rounded on the way.
    np.testing.assert_array_equal(clips * 32768, np.rint(clips * 32768))


def test_the_song_is_a_tone_over_faint_noise() -> None:
    song = probe_clips(160000)[0]
    spectrum = np.abs(np.fft.rfft(song))
    assert 0.098 * 32000 < spectrum.argmax() / 5 < 0.15 * 32000
    assert 0.4 < np.abs(song).max() < 0.6
    assert 0 < np.abs(song[:3000]).max() < 0.01


@dataclass
class FakeModel:
    manifest: Manifest
    scores: np.ndarray

    def score(self, samples: np.ndarray) -> np.ndarray:
        np.testing.assert_array_equal(samples, probe_clips(160000))
        return self.scores


EXPECTED = np.array([[0.5, 1e-5, 0.9], [0.2, 0.1, 0.3], [0, 1, 0], [0, 0, 0]], np.float32)


def model(answers: np.ndarray, /, **changes: object) -> FakeModel:
    probe = Probe.of_scores(EXPECTED, probe_clips(160000), tolerance=1e-3, tolerance_log_odds=0.05).to_manifest()
    described = manifest(probe={**probe, **changes})
    return FakeModel(Manifest.from_json(described.to_json()), answers)


def test_same_scores_pass() -> None:
    result = replay_probe(model(EXPECTED))
    assert result.passed
    assert result.clips == 4
    assert result.difference == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("clip", "label", "score"),
    [(0, 0, 0.502), (0, 2, 0.88), (0, 1, 2e-5)],  # the last differs by 1e-5 only, but is twice as likely
)
def test_other_scores_fail(clip: int, label: int, score: float) -> None:
    scores = EXPECTED.copy()
    scores[clip, label] = score
    assert not replay_probe(model(scores)).passed


def test_rounding_passes() -> None:
    assert replay_probe(model(np.clip(EXPECTED + np.float32(1e-7), 0, 1))).passed


def test_nan_fails() -> None:
    assert not replay_probe(model(np.full_like(EXPECTED, np.nan))).passed


def test_a_probe_that_cannot_be_replayed_is_refused_with_all_its_faults() -> None:
    with pytest.raises(ModelError) as caught:
        replay_probe(model(EXPECTED, recipe="integer-clips-9", scores=[[0.1]], colour="red"))
    for part in ("recipe is 'integer-clips-9'", "[1] columns, the model has 3 labels", "unknown field 'colour'"):
        assert part in str(caught.value)


def test_clips_of_another_recipe_version_are_refused() -> None:
    with pytest.raises(ModelError, match="clips are not those"):
        replay_probe(model(EXPECTED, sha256="0" * 64))


def test_a_model_without_a_probe_is_refused() -> None:
    bare = model(EXPECTED)
    bare.manifest = replace(bare.manifest, probe=None)
    with pytest.raises(ModelError, match="has no probe"):
        replay_probe(bare)

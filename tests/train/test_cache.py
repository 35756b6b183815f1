import numpy as np
import pytest

from birdwatch.errors import ConfigError
from birdwatch.model.frontend import FrontendSpec, mel_power
from train.cache import GRID, MelCache, crop, stored_mels, tiled, window_starts

SPEC = FrontendSpec()
STEP = GRID * SPEC.hop_frames


def noise(n: int) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(n) * 0.1).astype(np.float32)


@pytest.mark.parametrize("extra", [0, 1, STEP - 1, STEP, STEP + 1, 5 * STEP + 77])
def test_every_window_of_the_cache_equals_the_front_end(extra: int) -> None:
    samples = noise(SPEC.window_frames + extra)
    rows = stored_mels(samples, SPEC)
    assert rows.dtype == np.float32
    starts = window_starts(len(rows), SPEC)
    assert starts == extra // STEP + 1
    for start in range(starts):
        window = samples[start * STEP : start * STEP + SPEC.window_frames]
        expected = mel_power(window[None], SPEC)[0].T
        # Relative, but for what is rounding beside the loudest bin.
        np.testing.assert_allclose(crop(rows, start, SPEC), expected, rtol=1e-4, atol=1e-7 * expected.max())
    with pytest.raises(IndexError):
        crop(rows, starts, SPEC)


def test_long_recordings_are_computed_in_chunks_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(SPEC.window_frames + 20 * STEP)
    whole = stored_mels(samples, SPEC)
    monkeypatch.setattr("train.cache.CHUNK", 50)
    np.testing.assert_allclose(stored_mels(samples, SPEC), whole, rtol=1e-5)


def test_another_front_end_is_exact_too() -> None:
    spec = FrontendSpec(rate_hz=16000, window_frames=10000, n_fft=400, hop_frames=250, n_mels=32, fmax_hz=8000.0)
    samples = noise(10000 + 3 * GRID * 250)
    rows = stored_mels(samples, spec)
    for start in range(window_starts(len(rows), spec)):
        window = samples[start * GRID * 250 :][:10000]
        np.testing.assert_allclose(crop(rows, start, spec), mel_power(window[None], spec)[0].T, rtol=1e-4, atol=1e-6)


def test_spectra_that_overlap_more_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least half an FFT"):
        stored_mels(noise(160000), FrontendSpec(hop_frames=400))


def test_short_recordings_are_repeated_to_a_window() -> None:
    assert tiled(np.array([1, 2, 3], np.float32), 7).tolist() == [1, 2, 3, 1, 2, 3, 1]
    long = noise(9)
    assert tiled(long, 7) is long
    with pytest.raises(ValueError, match="no samples"):
        tiled(np.zeros(0, np.float32), 7)


def test_the_folder_refuses_to_be_mixed(tmp_path) -> None:
    folder = tmp_path / "mels"
    MelCache.open(folder, SPEC, centre=False)
    assert not MelCache.open(folder, SPEC, centre=True).centre, "whole recordings serve where the centre is wanted"
    with pytest.raises(ConfigError, match="fingerprint"):
        MelCache.open(folder, FrontendSpec(n_mels=64), centre=False)
    MelCache.open(tmp_path / "centre", SPEC, centre=True)
    with pytest.raises(ConfigError, match="windows 'centre'"):
        MelCache.open(tmp_path / "centre", SPEC, centre=False)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(ConfigError, match="not a mel cache"):
        MelCache.open(tmp_path / "photos", SPEC, centre=False)
    (folder / "cache.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        MelCache.open(folder, SPEC, centre=False)


def test_an_array_is_named_by_its_recordings_content(tmp_path) -> None:
    cache = MelCache.open(tmp_path / "mels", SPEC, centre=False)
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"x" * 10000)
    before = cache.path_of(audio, "bird/a.wav")
    assert cache.path_of(audio, "bird/a.wav") == before
    audio.write_bytes(b"x" * 9999 + b"y")
    assert cache.path_of(audio, "bird/a.wav") != before
    assert before.is_relative_to(tmp_path / "mels" / "bird")


def test_the_centre_alone_is_the_centre(tmp_path) -> None:
    samples = noise(SPEC.window_frames + 10001)
    cache = MelCache.open(tmp_path / "mels", SPEC, centre=True)
    cache.write(tmp_path / "mels" / "a.npy", samples)
    rows = np.load(tmp_path / "mels" / "a.npy")
    assert window_starts(len(rows), SPEC) == 1
    expected = mel_power(samples[None, 5000 : 5000 + SPEC.window_frames], SPEC)[0].T
    np.testing.assert_allclose(crop(rows, 0, SPEC), expected, rtol=1e-4, atol=1e-7 * expected.max())

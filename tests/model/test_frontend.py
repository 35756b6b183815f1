from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import reference
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatch.errors import ConfigError
from birdwatch.model.frontend import FrontendSpec, image_from_mel, log_mel, mel_filterbank, mel_power

SPEC = FrontendSpec()
WINDOW = SPEC.window_frames


def tone(hz: float = 3000.0, gain: float = 0.5) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * np.arange(WINDOW) / SPEC.rate_hz)).astype(np.float32)


def windows_of(audio: np.ndarray) -> np.ndarray:
    return np.stack([audio[i : i + WINDOW] for i in range(0, len(audio) - WINDOW + 1, 40000)])


def assert_equals_reference(windows: np.ndarray) -> None:
    expected = np.stack([reference.image(window) for window in windows])
    np.testing.assert_allclose(log_mel(windows)[:, 0], expected, rtol=0, atol=1e-4)


def test_the_filterbank_is_librosas_and_has_the_published_fixed_points():
    weights = mel_filterbank(SPEC)
    assert weights.shape == (128, 513)
    assert np.count_nonzero(weights) == 879
    assert weights.sum() == pytest.approx(4.09577, abs=1e-5)
    np.testing.assert_allclose(
        weights, librosa.filters.mel(sr=32000, n_fft=1024, n_mels=128, fmin=50, fmax=14000), rtol=0, atol=1e-7
    )


def test_a_tone_has_the_published_fixed_points():
    power = mel_power(tone()[None])[0]
    assert power.mean(axis=1).argmax() == 73
    assert power.max() == pytest.approx(239.7325, rel=1e-5)
    picture = log_mel(tone()[None])[0, 0]
    assert picture.mean(axis=1).argmax() == 147
    assert picture.mean() == pytest.approx(0.0244173, abs=2e-7)


@pytest.mark.parametrize("gain", [1.0, 1e-3])
def test_images_equal_librosa_and_opencv(song, gain):
    assert_equals_reference(windows_of(song * np.float32(gain)))


def test_full_scale_noise_clicks_and_padding_equal_the_reference(song):
    rng = np.random.default_rng(0)
    click = np.zeros(WINDOW, np.float32)
    click[80000] = 1.0
    padded = np.pad(song[:20000], (0, WINDOW - 20000))
    noise = rng.uniform(-1, 1, WINDOW).astype(np.float32)
    assert_equals_reference(np.stack([noise, click, padded, tone()]))


def test_images_of_real_recordings_equal_the_reference(shared_audio: Path):
    for path in sorted(shared_audio.glob("train_audio/*/*.ogg"))[::60]:
        audio, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == SPEC.rate_hz
        if len(audio) >= WINDOW:
            assert_equals_reference(windows_of(audio[: 4 * WINDOW]))


def test_digital_silence_is_all_zeros_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = log_mel(np.zeros((2, WINDOW), np.float32))
    assert picture.shape == (2, 1, 256, 256)
    assert picture.dtype == np.float32
    assert not picture.any()


def test_a_gain_does_not_change_a_loud_image():
    rng = np.random.default_rng(1)
    loud = rng.uniform(-1, 1, (1, WINDOW)).astype(np.float32)
    np.testing.assert_allclose(log_mel(loud * np.float32(0.01)), log_mel(loud), rtol=0, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch(song):
    windows = windows_of(song)
    alone = np.concatenate([log_mel(window[None]) for window in windows])
    quiet_beside = np.stack([windows[0], windows[0] * np.float32(1e-4)])
    np.testing.assert_array_equal(log_mel(windows), alone)
    np.testing.assert_array_equal(log_mel(quiet_beside)[0], alone[0])


def test_threads_side_by_side_give_what_one_gives(song):
    windows = windows_of(song)
    expected = log_mel(windows)
    with ThreadPoolExecutor(4) as pool:
        for images in pool.map(lambda _: log_mel(windows), range(12)):
            np.testing.assert_array_equal(images, expected)


def test_an_image_from_its_mel_power_is_the_same_image(song):
    windows = windows_of(song)
    power = mel_power(windows)
    kept = power.copy()
    np.testing.assert_array_equal(image_from_mel(power), log_mel(windows))
    np.testing.assert_array_equal(power, kept)


def test_the_callers_audio_is_left_alone(song):
    windows = windows_of(song)
    before = windows.copy()
    windows.flags.writeable = False
    log_mel(windows)
    np.testing.assert_array_equal(windows, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_audio_that_is_not_finite_is_refused(bad):
    samples = np.zeros((1, WINDOW), np.float32)
    samples[0, 5] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        log_mel(samples)


@pytest.mark.parametrize(
    "samples", [np.zeros((1, WINDOW)), np.zeros(WINDOW, np.float32), np.zeros((1, WINDOW - 1), np.float32)]
)
def test_another_shape_or_dtype_is_refused(samples):
    with pytest.raises(ValueError, match="samples must"):
        log_mel(samples)


def test_an_empty_batch_gives_an_empty_batch():
    assert log_mel(np.zeros((0, WINDOW), np.float32)).shape == (0, 1, 256, 256)


def test_every_field_of_a_spec_changes_its_fingerprint():
    numbers = {name: value for name, value in asdict(SPEC).items() if not isinstance(value, str)}
    prints = {replace(SPEC, **{name: type(value)(value - 1)}).fingerprint for name, value in numbers.items()}
    assert len(prints | {SPEC.fingerprint}) == len(numbers) + 1


def test_a_spec_survives_its_dictionary_and_refuses_what_it_does_not_know():
    assert FrontendSpec.from_dict(asdict(SPEC)) == SPEC
    with pytest.raises(ConfigError, match=r"unknown fields \['colour'\]"):
        FrontendSpec.from_dict({**asdict(SPEC), "colour": 1})
    with pytest.raises(ConfigError, match=r"mel_scale is 'htk'.*top_db is 0"):
        replace(SPEC, mel_scale="htk", top_db=0)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 9000),
    n_fft=st.sampled_from([256, 512, 1000]),
    hop=st.integers(50, 400),
    n_mels=st.integers(4, 40),
)
def test_other_specs_equal_librosa_too(n, n_fft, hop, n_mels):
    spec = replace(SPEC, n_fft=n_fft, hop_frames=hop, n_mels=n_mels, rate_hz=22050, fmax_hz=11000.0)
    samples = np.random.default_rng(n).uniform(-1, 1, (1, n)).astype(np.float32)
    with warnings.catch_warnings():
        # librosa warns where a signal is shorter than its FFT, or a filter is empty.
        warnings.simplefilter("ignore")
        expected = librosa.feature.melspectrogram(
            y=samples[0], sr=22050, n_fft=n_fft, hop_length=hop, n_mels=n_mels, fmin=50, fmax=11000, power=2.0
        )
    np.testing.assert_allclose(mel_power(samples, spec)[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shift", [512, 512 * 100, 512 * 156, 512 * 311, 512 * 312, 80000, 160000])
def test_windows_that_share_spectra_have_the_images_that_each_has_alone(shift):
    rng = np.random.default_rng(shift)
    stream = rng.normal(0.0, 0.1, WINDOW + 3 * shift).astype(np.float32)
    windows = [stream[i * shift : i * shift + WINDOW] for i in range(4)]
    alone = np.concatenate([log_mel(window[None]) for window in windows])
    np.testing.assert_array_equal(log_mel(windows, shift=shift), alone)


def test_windows_that_are_not_of_one_stream_share_nothing():
    rng = np.random.default_rng(0)
    windows = rng.normal(0.0, 0.1, (3, WINDOW)).astype(np.float32)
    # A tail, whose padding is no longer what the stream holds there.
    tail = np.concatenate([windows[2, 79872:], np.zeros(79872, np.float32)])
    tail[-100000:] = 0.0
    batch = [*windows, tail]
    alone = np.concatenate([log_mel(window[None]) for window in batch])
    np.testing.assert_array_equal(log_mel(batch, shift=79872), alone)


@pytest.mark.parametrize(("n", "n_fft", "hop"), [(1000, 256, 64), (300, 512, 100), (4000, 256, 200)])
def test_other_specs_share_spectra_too(n, n_fft, hop):
    spec = replace(SPEC, rate_hz=8000, window_frames=n, n_fft=n_fft, hop_frames=hop, n_mels=20, fmax_hz=4000.0)
    stream = np.random.default_rng(n).normal(0.0, 0.1, n + 6 * hop).astype(np.float32)
    windows = [stream[i * 2 * hop : i * 2 * hop + n] for i in range(4)]
    alone = np.concatenate([log_mel(window[None], spec) for window in windows])
    np.testing.assert_array_equal(log_mel(windows, spec, shift=2 * hop), alone)

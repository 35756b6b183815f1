"""Varied sounds: played, mixed and coloured as they say they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks

from train.vary import Played, Variations, equalised, level, made, mixed, played, with_noise

RATE_HZ = 32000
PLAIN = Variations(equaliser=0.0, low_pass=0.0, high_pass=0.0, noise=0.0)


def whistle(hz: float, duration_s: float = 5.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype(np.float32)


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE_HZ / len(samples))


def band_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].mean()))


@pytest.mark.parametrize(("speed", "rate_hz"), [(0.8, RATE_HZ), (1.25, RATE_HZ), (1.0, 44100), (1.25, 22050)])
def test_speed_moves_pitch_and_length_alike(speed: float, rate_hz: int) -> None:
    out = played(whistle(2000.0, 2.0, rate_hz), rate_hz, RATE_HZ, 5 * RATE_HZ, Played(speed))
    assert out.shape == (5 * RATE_HZ,)
    end = round(2.0 / speed * RATE_HZ)
    assert loudest_hz(out[:end]) == pytest.approx(2000.0 * speed, rel=2e-3)
    assert np.abs(out[end - 1000 : end]).max() > 0.2
    assert not out[end + 10 :].any()


def test_what_is_played_as_it_is_stays_bit_for_bit_and_backwards_is_its_mirror() -> None:
    samples = np.random.default_rng(0).standard_normal(6 * RATE_HZ).astype(np.float32)
    frames = 5 * RATE_HZ
    np.testing.assert_array_equal(played(samples, RATE_HZ, RATE_HZ, frames, Played()), samples[:frames])
    mirror = played(samples, RATE_HZ, RATE_HZ, frames, Played(backwards=True))
    np.testing.assert_array_equal(mirror, samples[:frames][::-1])
    assert Played().natural
    assert not Played(1.1).natural
    assert not Played(backwards=True).natural


def test_ways_to_play_keep_to_their_shares() -> None:
    rng = np.random.default_rng(1)
    how = Variations(natural=0.4, slowest=0.75, fastest=1.35, backwards=0.25)
    ways = [Played.draw(rng, how) for _ in range(4000)]
    assert np.mean([way.natural for way in ways]) == pytest.approx(0.4, abs=0.03)
    changed = [way for way in ways if not way.natural]
    assert np.mean([way.backwards for way in changed]) == pytest.approx(0.25, abs=0.03)
    assert min(way.speed for way in changed) == pytest.approx(0.75, abs=0.01)
    assert max(way.speed for way in changed) == pytest.approx(1.35, abs=0.01)
    # As often a third slower as a third faster.
    assert np.median([way.speed for way in changed]) == pytest.approx((0.75 * 1.35) ** 0.5, rel=0.02)


@pytest.mark.parametrize("gain_db", [-6.0, 0.0, 6.0])
def test_a_second_sound_is_as_loud_as_said_however_loud_it_was_recorded(gain_db: float) -> None:
    own, other = whistle(2000.0), 0.001 * whistle(5000.0)
    both = mixed(own, other, RATE_HZ, gain_db)
    assert both.dtype == np.float32
    apart = band_db(both, 4900, 5100) - band_db(both, 1900, 2100)
    assert apart == pytest.approx(gain_db, abs=0.01)


def test_silence_takes_the_other_sound_as_it_is() -> None:
    silence, sound = np.zeros(5 * RATE_HZ, np.float32), whistle(3000.0)
    np.testing.assert_array_equal(mixed(silence, sound, RATE_HZ, -6.0), sound)
    np.testing.assert_array_equal(mixed(sound, silence, RATE_HZ, 6.0), sound)
    made_of_nothing = made([silence], None, RATE_HZ, np.random.default_rng(0), Variations())
    assert np.isfinite(made_of_nothing).all()


def test_level_is_that_of_the_song_and_not_of_the_pauses() -> None:
    song = whistle(2000.0)
    song[RATE_HZ:] = 0.0  # sings a fifth of the time
    assert level(song, RATE_HZ) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


def test_the_low_pass_takes_the_top_and_the_high_pass_the_bottom() -> None:
    noise = np.random.default_rng(2).standard_normal(5 * RATE_HZ).astype(np.float32)
    low = equalised(noise, RATE_HZ, np.random.default_rng(0), Variations(equaliser=0, low_pass=1, high_pass=0))
    assert band_db(low, 15000, 16000) < band_db(noise, 15000, 16000) - 12
    assert band_db(low, 1000, 3000) == pytest.approx(band_db(noise, 1000, 3000), abs=0.2)
    high = equalised(noise, RATE_HZ, np.random.default_rng(0), Variations(equaliser=0, low_pass=0, high_pass=1))
    assert band_db(high, 20, 90) < band_db(noise, 20, 90) - 5
    assert band_db(high, 2000, 4000) == pytest.approx(band_db(noise, 2000, 4000), abs=0.2)
    assert equalised(noise, RATE_HZ, np.random.default_rng(0), PLAIN) is noise


def test_the_equaliser_is_smooth() -> None:
    click = np.zeros(5 * RATE_HZ, np.float32)
    click[0] = 1.0
    how = Variations(equaliser=1, low_pass=0, high_pass=0)
    curve = 20 * np.log10(np.abs(np.fft.rfft(equalised(click, RATE_HZ, np.random.default_rng(5), how))))
    assert np.ptp(curve) > 3.0
    assert np.abs(np.diff(curve)).max() < 0.1
    peaks, _ = find_peaks(np.abs(curve - curve.mean()))
    assert len(peaks) <= 5


def test_noise_lies_below_the_sound() -> None:
    sound = whistle(2000.0)
    for seed in range(20):
        noise = with_noise(sound, RATE_HZ, np.random.default_rng(seed)) - sound
        below_db = 20 * np.log10(level(sound, RATE_HZ) / noise.std())
        assert 5.9 <= below_db <= 60.1


def test_a_made_sound_s_peak_is_safe_and_all_its_parts_are_audible() -> None:
    background = np.random.default_rng(3).standard_normal(5 * RATE_HZ).astype(np.float32)
    rng = np.random.default_rng(0)
    samples = made([whistle(2000.0), 40 * whistle(6000.0)], background, RATE_HZ, rng, PLAIN)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() == pytest.approx(0.7, rel=1e-5)
    quiet = band_db(samples, 10000, 12000)
    assert band_db(samples, 1990, 2010) > quiet + 20
    assert band_db(samples, 5990, 6010) > quiet + 20

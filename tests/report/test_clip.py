from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from birdwatch.report.clip import encode_clip


@pytest.mark.parametrize("rate_hz", [16000, 32000, 44100, 192000])
def test_a_clip_is_the_same_sound_louder_and_small(rate_hz):
    t = np.arange(5 * rate_hz) / rate_hz
    media_type, data = encode_clip((0.01 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32), rate_hz)
    sound, heard_hz = soundfile.read(io.BytesIO(data))
    assert media_type in ("audio/mpeg", "audio/ogg")
    assert len(sound) / heard_hz == pytest.approx(5, abs=0.1)
    assert 0.5 < np.abs(sound).max() < 1.0
    middle = sound[heard_hz : 4 * heard_hz]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) / 3 == pytest.approx(3000, abs=1)
    assert len(data) < 60000


def test_silence_stays_silent():
    _, data = encode_clip(np.zeros(32000, np.float32), 32000)
    assert np.abs(soundfile.read(io.BytesIO(data))[0]).max() < 1e-3

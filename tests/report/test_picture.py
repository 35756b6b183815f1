from __future__ import annotations

import cv2
import numpy as np
import pytest

from birdwatch.report.picture import HEIGHT, WIDTH, png, spectrogram_png


def decode(data):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_png_as_opencv_reads_it():
    pixels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    image = decode(png(pixels))
    assert image.shape == (8, 32, 3)
    brightness = image.astype(float).sum(axis=2).ravel()
    assert (np.diff(brightness) >= 0).all()  # lightness rises with the index, for those who see no hue
    assert brightness[0] < 100
    assert brightness[-1] > 700


@pytest.mark.parametrize("rate_hz", [22050, 32000, 48000, 192000])
@pytest.mark.parametrize("hz", [2000, 9000])
def test_a_tone_is_a_bright_line_at_its_height_while_it_lasts(rate_hz, hz):
    t = np.arange(5 * rate_hz) / rate_hz
    noise = np.random.default_rng(2).normal(0, 0.01, len(t))
    tone = (0.3 * np.sin(2 * np.pi * hz * t) * ((t > 1) & (t < 2)) + noise).astype(np.float32)
    image = decode(spectrogram_png(tone, rate_hz, low_hz=0, high_hz=12000)).astype(int).sum(axis=2)
    assert image.shape == (HEIGHT, WIDTH)
    inside = image[:, int(0.25 * WIDTH) : int(0.35 * WIDTH)].mean(axis=1)
    high_hz = min(12000, rate_hz / 2)
    assert abs(int(np.argmax(inside)) - (1 - hz / high_hz) * HEIGHT) < 5
    row = image[int(np.argmax(inside))]
    assert row[int(0.22 * WIDTH) : int(0.38 * WIDTH)].min() > 2 * row[int(0.5 * WIDTH) :].mean()


@pytest.mark.parametrize("samples", [0, 1, 50, 3000])
def test_silence_and_scraps_are_a_picture_too(samples):
    assert decode(spectrogram_png(np.zeros(samples, np.float32), 32000, low_hz=0, high_hz=12000)).shape[0] == HEIGHT

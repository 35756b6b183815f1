import numpy as np
import torch

from birdwatch.checkpoint.frontend import images_of
from birdwatch.model.frontend import FrontendSpec, log_mel
from train.cache import GRID, crop, stored_mels

SPEC = FrontendSpec()


def test_images_on_the_device_equal_the_front_end() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(SPEC.window_frames + 3 * GRID * SPEC.hop_frames) / SPEC.rate_hz
    loud = (0.5 * np.sin(2 * np.pi * 3000 * t) + 0.01 * rng.standard_normal(len(t))).astype(np.float32)
    clicks = np.where(rng.random(len(t)) < 1e-4, 0.9, 0.0).astype(np.float32)
    silence = np.zeros_like(loud)
    recordings = [loud, 0.001 * loud, clicks, silence]
    start = 2
    window = slice(start * GRID * SPEC.hop_frames, start * GRID * SPEC.hop_frames + SPEC.window_frames)
    mel = np.stack([crop(stored_mels(samples, SPEC), start, SPEC) for samples in recordings])
    images = images_of(torch.from_numpy(mel).transpose(1, 2), SPEC)
    expected = log_mel(np.stack([samples[window] for samples in recordings]), SPEC)
    assert images.shape == expected.shape
    assert images.dtype == torch.float32
    np.testing.assert_allclose(images.numpy(), expected, atol=1e-4)
    # An image does not depend on the batch that it comes in.
    alone = images_of(torch.from_numpy(mel[:1]).transpose(1, 2), SPEC)
    np.testing.assert_allclose(alone[0].numpy(), images[0].numpy(), atol=1e-6)

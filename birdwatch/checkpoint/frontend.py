"""birdwatch's front end in torch: mel powers to images, for training; samples to images, to be put inside a graph.

Every step equals `birdwatch.model.frontend.log_mel`, whose tables it uses. The Fourier transform is a matrix product:
a GPU does it at full speed, and every ONNX runtime has the operators.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from birdwatch.errors import ModelError
from birdwatch.model.frontend import AMIN, EPSILON, FrontendSpec, hann_window, mel_filterbank, resize_matrix

__all__ = ["FrontEnd", "images_of"]


def images_of(power: torch.Tensor, spec: FrontendSpec) -> torch.Tensor:
    """Images float32 `(B, 1, height, width)` in 0..1 of mel powers `(B, n_mels, T)`: dB, min-max, resize per window.

    `birdwatch.model.frontend.image_from_mel` is the definition; the test holds this to it within 1e-4.
    """
    rows = torch.from_numpy(resize_matrix(power.shape[1], spec.height).copy()).to(power.device)
    columns = torch.from_numpy(resize_matrix(power.shape[2], spec.width).copy()).to(power.device)
    return _resized(_scaled(power, spec), rows, columns.T)


def _scaled(power: torch.Tensor, spec: FrontendSpec) -> torch.Tensor:
    """Powers `(B, n_mels, T)` to decibels clipped at top_db and scaled to 0..1, each window by its own extremes."""
    db = 10.0 / np.log(10.0) * torch.log(torch.clamp(power, min=AMIN))
    db = torch.clamp(db - db.amax(dim=(1, 2), keepdim=True), min=-spec.top_db)
    db = db - db.amin(dim=(1, 2), keepdim=True)
    # float32 cannot tell this clamp from the definition's `+ 1e-8`, which the exporter's optimiser takes for `+ 0` and
    # drops, so that silence would become NaN.
    return db / torch.clamp(db.amax(dim=(1, 2), keepdim=True), min=EPSILON)


def _resized(scaled: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """`(B, n_mels, T)` to images `(B, 1, height, width)` by `rows` `(height, n_mels)` and `columns` `(T, width)`."""
    return (rows @ (scaled @ columns)).unsqueeze(1)


class FrontEnd(nn.Module):
    """Samples float32 `(n, window_frames)` to images `(n, 1, height, width)`; raises ModelError for specs out of reach.

    A real signal's spectrum needs half of the products: the window and the cosines are even around the middle of a
    spectrum's frames, the sines odd, so mirrored frames are added (or subtracted) first and multiplied once. Bins
    outside all mel filters are left out.
    """

    cosines: torch.Tensor
    sines: torch.Tensor
    filters: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, spec: FrontendSpec) -> None:
        super().__init__()
        if spec.n_fft % spec.hop_frames or spec.n_fft % 2:
            raise ModelError(
                f"a front end with n_fft {spec.n_fft} and hop_frames {spec.hop_frames} cannot be fused: "
                "the spectra must be an even, whole number of hops long"
            )
        self.spec = spec
        filters = mel_filterbank(spec)  # (mel, bins)
        bins = np.flatnonzero(filters.any(axis=0))
        half = spec.n_fft // 2
        k = np.arange(1, half + 1)
        # Integer phases: cos(2 pi k b / n) of a reduced k * b is exact to float64 before it is rounded once.
        angle = 2.0 * np.pi * (np.outer(k, bins) % spec.n_fft) / spec.n_fft  # (half, bins)
        hann = hann_window(spec.n_fft).astype(np.float64)[1 : half + 1, None]
        constants = {
            "cosines": hann * np.cos(angle),
            "sines": (hann * np.sin(angle))[:-1],
            "filters": filters[:, bins].T,
            "rows": resize_matrix(spec.n_mels, spec.height),
            "columns": resize_matrix(spec.spectra, spec.width).T,
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Images `(n, 1, height, width)`; each depends on its own window alone."""
        spec, half = self.spec, self.spec.n_fft // 2
        hops = spec.spectra - 1 + spec.n_fft // spec.hop_frames
        after = hops * spec.hop_frames - spec.window_frames - half
        # `after` is negative where the last hop is not whole: no spectrum reaches those frames.
        blocks = F.pad(samples, (half, after)).reshape(-1, hops, spec.hop_frames)
        parts = [blocks[:, i : i + spec.spectra] for i in range(spec.n_fft // spec.hop_frames)]
        frames = torch.cat(parts, dim=2)  # (n, T, n_fft)
        # A periodic Hann window is zero at its first frame, so that frame is not needed.
        ahead, middle = frames[:, :, 1:half], frames[:, :, half : half + 1]
        mirrored = frames[:, :, half + 1 :].flip(2)
        real = torch.cat((ahead + mirrored, middle), dim=2) @ self.cosines  # (n, T, bins)
        imaginary = (ahead - mirrored) @ self.sines
        power = (real * real + imaginary * imaginary) @ self.filters  # (n, T, mel)
        return _resized(_scaled(power.transpose(1, 2), spec), self.rows, self.columns)

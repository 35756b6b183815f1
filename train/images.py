"""The last half of birdwatch's front end on the training device: mel powers to images, for a batch at once.

`birdwatch.model.frontend.image_from_mel` is the definition; the test holds this to it within 1e-4.
"""

from __future__ import annotations

import torch

from birdwatch.model.frontend import AMIN, EPSILON, FrontendSpec, resize_matrix

__all__ = ["images_of"]


def images_of(power: torch.Tensor, spec: FrontendSpec) -> torch.Tensor:
    """Images float32 `(B, 1, height, width)` in 0..1 of mel powers `(B, n_mels, T)`: dB, min-max, resize per window."""
    db = 10.0 * power.clamp_min(AMIN).log10()
    db = (db - db.amax(dim=(1, 2), keepdim=True)).clamp_min(-spec.top_db)
    db = db - db.amin(dim=(1, 2), keepdim=True)
    db = db / (db.amax(dim=(1, 2), keepdim=True) + EPSILON)
    rows = torch.from_numpy(resize_matrix(power.shape[1], spec.height).copy()).to(power.device)
    columns = torch.from_numpy(resize_matrix(power.shape[2], spec.width).copy()).to(power.device)
    return (rows @ (db @ columns.T))[:, None]

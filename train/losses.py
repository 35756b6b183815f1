"""The losses: each the mean over a batch's logits `(B, classes)` against targets 0..1, weights 0 left out.

`bce` is the published recipe's. The others are those of later winners: `soft_auc` (BirdCLEF 2025) orders windows within
each class, as the competition's metric does; `focal` (Lin et al., 2017) turns to the hard ones; `ce` is for single
labels, whose scores are a softmax.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .settings import Settings

__all__ = ["classification_loss", "cross_entropy", "focal_bce", "masked_bce", "smoothed", "soft_auc"]


def masked_bce(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy over logits `(B, classes)` whose weight is not 0; the plain mean where all are 1."""
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * weights).sum() / weights.sum().clamp_min(1.0)


def focal_bce(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, *, gamma: float, alpha: float
) -> torch.Tensor:
    """Binary cross-entropy times `(1 - p_t)^gamma`, positives weighed by `alpha`, negatives by `1 - alpha`.

    For soft targets p_t is `p t + (1 - p)(1 - t)`.
    """
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p = torch.sigmoid(logits)
    missing = p + targets - 2.0 * p * targets  # 1 - p_t
    balance = alpha * targets + (1.0 - alpha) * (1.0 - targets)
    return (each * balance * missing**gamma * weights).sum() / weights.sum().clamp_min(1.0)


def soft_auc(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The mean over pairs of windows of `softplus(s_j - s_i)`, i a positive and j a negative of one class.

    A smooth bound of one minus the ROC-AUC. Soft targets weigh a pair by `t_i (1 - t_j)`. Every class with pairs counts
    alike, as in the competition's macro AUC; 0 where no class has any.
    """
    positive, negative = targets * weights, (1.0 - targets) * weights
    apart = F.softplus(logits[None] - logits[:, None])  # (i, j, classes)
    pairs = positive[:, None] * negative[None]
    mass = pairs.sum(dim=(0, 1))
    by_class = (apart * pairs).sum(dim=(0, 1)) / mass.clamp_min(1e-6)
    there = (mass > 1e-6).float()
    return (by_class * there).sum() / there.sum().clamp_min(1.0)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the softmax over the classes, targets scaled to a sum of 1.

    Windows without targets are left out, and classes with weight 0 are left out of the softmax.
    """
    masked = logits.masked_fill(weights == 0, -1e4)
    total = (targets * weights).sum(dim=1, keepdim=True)
    each = -(targets * weights / total.clamp_min(1e-6) * F.log_softmax(masked, dim=1)).sum(dim=1)
    labelled = (total[:, 0] > 1e-6).float()
    return (each * labelled).sum() / labelled.sum().clamp_min(1.0)


def smoothed(targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Label smoothing (Szegedy et al., 2016): `t (1 - s) + s / classes`."""
    return targets * (1.0 - smoothing) + smoothing / targets.shape[1]


def classification_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, settings: Settings
) -> torch.Tensor:
    """The loss that the settings name."""
    if settings.label_smoothing > 0:
        # Windows without any label are not smoothed: nothing is to be scored in them.
        there = targets.sum(dim=1, keepdim=True) > 0
        targets = torch.where(there, smoothed(targets, settings.label_smoothing), targets)
    if settings.loss == "focal":
        return focal_bce(logits, targets, weights, gamma=settings.focal_gamma, alpha=settings.focal_alpha)
    if settings.loss == "soft_auc":
        return soft_auc(logits, targets, weights) + settings.auc_bce * masked_bce(logits, targets, weights)
    if settings.loss == "ce":
        return cross_entropy(logits, targets, weights)
    return masked_bce(logits, targets, weights)

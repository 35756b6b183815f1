import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss, roc_auc_score
from torchvision.ops import sigmoid_focal_loss

from train.losses import classification_loss, cross_entropy, focal_bce, masked_bce, smoothed, soft_auc
from train.settings import Settings


@pytest.fixture
def table() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(12, 5, generator=generator)
    targets = (torch.rand(12, 5, generator=generator) < 0.3).float()
    return logits, targets, torch.ones(12, 5)


def test_bce_is_scikit_learns_log_loss_and_leaves_masked_classes_out(table) -> None:
    logits, targets, weights = table
    expected = log_loss(targets.flatten().numpy(), torch.sigmoid(logits).flatten().double().numpy())
    assert masked_bce(logits, targets, weights).item() == pytest.approx(expected, rel=1e-5)
    weights = weights.clone()
    weights[:, 2] = 0.0
    kept = [0, 1, 3, 4]
    plain = masked_bce(logits[:, kept], targets[:, kept], weights[:, kept])
    for loss in (masked_bce, soft_auc):
        torch.testing.assert_close(
            loss(logits, targets, weights), loss(logits[:, kept], targets[:, kept], weights[:, kept])
        )
    torch.testing.assert_close(masked_bce(logits, targets, weights), plain)


def test_focal_bce_is_torchvisions(table) -> None:
    logits, targets, weights = table
    expected = sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2.0, reduction="mean")
    torch.testing.assert_close(focal_bce(logits, targets, weights, gamma=2.0, alpha=0.25), expected)


def test_soft_auc_is_the_mean_over_pairs_in_a_slow_loop(table) -> None:
    logits, targets, weights = table
    targets[0, 0] = 0.7
    by_class = []
    for label in range(5):
        total, mass = 0.0, 0.0
        for i in range(12):
            for j in range(12):
                pair = targets[i, label].item() * (1 - targets[j, label].item())
                total += pair * math.log1p(math.exp(logits[j, label].item() - logits[i, label].item()))
                mass += pair
        if mass:
            by_class.append(total / mass)
    assert soft_auc(logits, targets, weights).item() == pytest.approx(np.mean(by_class), rel=1e-5)
    assert soft_auc(logits, torch.zeros(12, 5), weights).item() == 0.0


def test_descending_the_soft_auc_raises_the_auc(table) -> None:
    logits, targets, weights = table
    values = logits.clone().requires_grad_()
    for _ in range(50):
        (gradient,) = torch.autograd.grad(soft_auc(values, targets, weights), values)
        values = (values - 20.0 * gradient).detach().requires_grad_()
    assert roc_auc_score(targets.numpy(), values.detach().numpy()) > roc_auc_score(targets.numpy(), logits.numpy())
    assert roc_auc_score(targets.numpy(), values.detach().numpy()) == 1.0


def test_cross_entropy_and_smoothing_are_torchs(table) -> None:
    logits, _, weights = table
    label = torch.arange(12) % 5
    single = F.one_hot(label, 5).float()
    torch.testing.assert_close(cross_entropy(logits, single, weights), F.cross_entropy(logits, label))
    expected = F.cross_entropy(logits, label, label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(logits, smoothed(single, 0.1), weights), expected)
    with_silence = torch.cat([single, torch.zeros(1, 5)])
    doubled = torch.cat([logits, torch.ones(1, 5)])
    torch.testing.assert_close(cross_entropy(doubled, with_silence, torch.ones(13, 5)), F.cross_entropy(logits, label))


def test_the_settings_choose(table) -> None:
    logits, targets, weights = table
    assert torch.equal(classification_loss(logits, targets, weights, Settings()), masked_bce(logits, targets, weights))
    both = soft_auc(logits, targets, weights) + 0.25 * masked_bce(logits, targets, weights)
    torch.testing.assert_close(classification_loss(logits, targets, weights, Settings(loss="soft_auc")), both)
    silent = classification_loss(logits, torch.zeros(12, 5), weights, Settings(label_smoothing=0.1))
    torch.testing.assert_close(silent, masked_bce(logits, torch.zeros(12, 5), weights))

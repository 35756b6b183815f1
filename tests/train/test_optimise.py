import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from train.losses import masked_bce
from train.optimise import learning_rate, move_average
from train.settings import Settings


def test_the_rate_by_epochs_equals_torchs_cosine() -> None:
    settings = Settings()
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs, eta_min=settings.min_lr)
    for epoch in range(settings.epochs):
        expected = optimizer.param_groups[0]["lr"]
        for progress in (epoch, epoch + 0.5, epoch + 0.999):
            assert learning_rate(settings, progress) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        schedule.step()


def test_the_rate_by_steps_warms_up_and_ends_at_its_least() -> None:
    settings = Settings(schedule="step", warmup_epochs=2.0, epochs=10)
    rates = [learning_rate(settings, p) for p in np.linspace(0, 10, 101)]
    assert 0 < rates[0] < 0.02 * settings.lr
    assert max(rates) == pytest.approx(settings.lr)
    assert int(np.argmax(rates)) == 20
    assert (np.diff(rates[:20]) >= 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert rates[-1] == pytest.approx(settings.min_lr)


def test_the_rate_by_steps_is_torchs_warm_up_and_cosine() -> None:
    steps, settings = 7, Settings(schedule="step", warmup_epochs=2.0, epochs=6)
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    warm, cold = 2 * steps, 4 * steps
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-6, total_iters=warm),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=cold, eta_min=settings.min_lr),
        ],
        milestones=[warm],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR calls its schedules in a way that torch itself deprecates
        for step in range(warm + cold):
            if step:  # the first step of ours has a hundredth, not a millionth
                expected = optimizer.param_groups[0]["lr"]
                assert learning_rate(settings, step / steps) == pytest.approx(expected, rel=1e-4)
            optimizer.step()
            schedule.step()


def test_the_loss_is_torchs_where_nothing_is_masked_and_blind_where_it_is() -> None:
    logits, targets = torch.randn(4, 5, requires_grad=True), torch.rand(4, 5)
    torch.testing.assert_close(
        masked_bce(logits, targets, torch.ones(4, 5)), nn.functional.binary_cross_entropy_with_logits(logits, targets)
    )
    weights = torch.ones(4, 5)
    weights[1, 2] = 0
    loss = masked_bce(logits, targets, weights)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1, 2] == 0
    assert (logits.grad != 0).sum() == 19
    kept = weights.bool()
    torch.testing.assert_close(loss, nn.functional.binary_cross_entropy_with_logits(logits[kept], targets[kept]))


def test_the_average_moves_by_one_minus_decay_and_copies_counters() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    averaged = copy.deepcopy(network)
    before = averaged[0].weight.clone()
    with torch.no_grad():
        network[0].weight.fill_(7.0)
        network[1].running_mean.fill_(3.0)
        network[1].num_batches_tracked.fill_(9)
    move_average(averaged, network, 0.9, step=10**6)
    torch.testing.assert_close(averaged[0].weight, 0.9 * before + 0.1 * 7.0)
    torch.testing.assert_close(averaged[1].running_mean, torch.full((2,), 0.3))
    assert averaged[1].num_batches_tracked == 9
    move_average(averaged, network, 0.9, step=0)
    assert (averaged[0].weight - 7.0).abs().max() < 0.2 * (before - 7.0).abs().max(), "it follows fast at first"

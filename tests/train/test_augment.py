import numpy as np
import pytest
import torch

from train import augment

ALL = np.ones(64, bool)
HALF = np.arange(64) % 2 == 0


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def runs(flags: np.ndarray) -> list[int]:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@pytest.mark.parametrize(("mask", "axis"), [(augment.time_masks, 3), (augment.frequency_masks, 2)])
def test_masks_are_whole_stripes_of_the_promised_number_and_width(mask, axis: int) -> None:
    images = torch.ones(64, 1, 120, 130)
    masked = mask(images, most=3, widest=20, chosen=HALF, rng=rng())
    assert masked.shape == images.shape
    assert torch.equal(images, torch.ones_like(images)), "the input stays"
    other = 5 - axis
    stripes = masked[:, 0] == 0
    assert torch.equal(stripes.any(dim=other - 1), stripes.all(dim=other - 1)), "a stripe crosses the whole image"
    for stripe, chosen in zip(stripes.any(dim=other - 1).numpy(), HALF, strict=True):
        lengths = runs(stripe)
        assert (len(lengths) > 0) == chosen
        assert len(lengths) <= 3
        assert all(length >= 5 for length in lengths)
        assert sum(lengths) <= 60
    found = {len(runs(stripe)) for stripe in stripes.any(dim=other - 1).numpy()}
    assert found == {0, 1, 2, 3}
    widths = [n for stripe in stripes.any(dim=other - 1).numpy() if len(runs(stripe)) == 1 for n in runs(stripe)]
    assert min(widths) < 10 < max(widths) <= 20


def test_masks_fit_into_tiny_images() -> None:
    assert augment.time_masks(torch.ones(64, 1, 3, 3), most=3, widest=20, chosen=ALL, rng=rng()).sum() == 0


def test_brightness_is_gain_and_bias_within_bounds_and_clipped() -> None:
    images = torch.linspace(0.3, 0.6, 64 * 4).reshape(64, 1, 2, 2)
    bright = augment.brightness(images, spread=0.2, shift=0.1, chosen=HALF, rng=rng())
    assert torch.equal(bright[1::2], images[1::2])
    x, y = images[::2].flatten(1), bright[::2].flatten(1)
    gain = (y[:, 3] - y[:, 0]) / (x[:, 3] - x[:, 0])
    bias = y[:, 0] - gain * x[:, 0]
    assert gain.min() >= 0.8 - 1e-2
    assert gain.max() <= 1.2 + 1e-2
    assert bias.abs().max() <= 0.1 + 1e-2
    assert gain.max() - gain.min() > 0.2
    clipped = augment.brightness(torch.full((64, 1, 1, 1), 0.99), spread=0.2, shift=0.1, chosen=ALL, rng=rng())
    assert clipped.max() == 1.0


def test_mixing_images_and_targets_is_a_weighted_mean() -> None:
    a, b = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    share = np.array([0.0, 0.25, 1.0])
    mixed = augment.mix_values(a, b, share)
    for i, s in enumerate(share):
        torch.testing.assert_close(mixed[i], s * a[i] + (1 - s) * b[i])


def test_powers_add_at_the_level_that_is_asked_for() -> None:
    own, other = torch.rand(4, 8, 10) * 3, torch.rand(4, 8, 10) * 0.01
    ratio = np.array([0.0, 1.0, 10 ** (6 / 10), 10 ** (-6 / 10)])
    mixed = augment.mix_powers(own, other, ratio)
    added = mixed - own
    assert torch.equal(mixed[0], own[0])
    for i in (1, 2, 3):
        assert added[i].mean().item() == pytest.approx(ratio[i] * own[i].mean().item(), rel=1e-4)
        torch.testing.assert_close(added[i] / added[i].mean(), other[i] / other[i].mean(), rtol=1e-3, atol=1e-4)


def test_silence_adds_nothing_and_takes_what_is_added() -> None:
    silence, sound = torch.zeros(1, 8, 10), torch.rand(1, 8, 10)
    one = np.ones(1)
    assert torch.equal(augment.mix_powers(sound, silence, one), sound)
    assert torch.equal(augment.mix_powers(silence, sound, one), sound)


def test_levels_are_uniform_in_decibels() -> None:
    db = 10 * np.log10(augment.uniform_db(rng(), 10000, -6, 6))
    assert db.min() >= -6
    assert db.max() <= 6
    assert abs(db.mean()) < 0.2
    assert np.quantile(db, 0.25) == pytest.approx(-3, abs=0.3)


def test_gain_multiplies_the_power() -> None:
    power = torch.rand(2, 3, 4)
    torch.testing.assert_close(
        augment.gain(power, np.array([2.0, 0.5])), power * torch.tensor([2.0, 0.5])[:, None, None]
    )


def test_the_equaliser_is_smooth_bounded_and_the_same_over_time() -> None:
    power = torch.rand(64, 128, 5) + 0.1
    shaped = augment.equalise(power, spread_db=10.0, chosen=HALF, rng=rng())
    torch.testing.assert_close(shaped[1::2], power[1::2])
    db = 10 * torch.log10(shaped / power)
    torch.testing.assert_close(db, db[:, :, :1].expand_as(db), rtol=0, atol=1e-3)
    assert db.abs().max() <= 10.0 + 1e-3
    assert db[::2].abs().max() > 5
    # Six points over 128 bands: at most 20 dB from one to the next, 25.4 bands apart.
    assert db.diff(dim=1).abs().max() <= 20 * 5 / 127 + 1e-3


def test_the_noise_floor_has_the_mean_that_is_asked_for() -> None:
    torch.manual_seed(0)
    power = torch.zeros(2, 64, 300)
    power[:, 3, 7] = 5.0
    noisy = augment.noise_floor(power, np.array([0.01, 0.0]))
    assert torch.equal(noisy[1], power[1])
    assert (noisy[0] - power[0]).mean().item() == pytest.approx(0.05, rel=0.05)
    assert (noisy[0] >= power[0]).all()


def test_the_low_pass_cuts_above_its_edge_only() -> None:
    power = torch.ones(64, 128, 3)
    cut_db = -10 * torch.log10(augment.low_pass(power, least=0.5, chosen=HALF, rng=rng()))
    assert torch.equal(cut_db[1::2], torch.zeros_like(cut_db[1::2]))
    assert (cut_db[:, :64] == 0).all(), "below the lowest edge all is kept"
    assert (cut_db.diff(dim=1) >= -1e-4).all(), "the higher, the quieter"
    assert cut_db.max() == pytest.approx(90.0, abs=1e-3)

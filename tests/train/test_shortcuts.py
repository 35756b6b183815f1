"""What keeps a network from knowing a recording's source instead of its species, and how a new head starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from birdwatch.checkpoint.network import ModelArguments, build_network, start_head
from birdwatch.model.frontend import FrontendSpec
from train import augment
from train.draws import class_shares
from train.settings import Settings
from train.weights import load_initial
from train.windows import Source


def powers(batch: int = 4, mels: int = 128, spectra: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).exponential(1.0, (batch, mels, spectra)).astype(np.float32))


CHOSEN = np.array([True, True, False, True])


def test_a_high_pass_cuts_low_bands_only_and_only_where_chosen() -> None:
    power = powers()
    out = augment.high_pass(power, most=0.2, chosen=CHOSEN, rng=np.random.default_rng(0))
    assert torch.equal(out[2], power[2])
    assert torch.equal(out[:, 26:], power[:, 26:])
    ratio_db = 10 * torch.log10(out / power)[0, :, 0]
    assert -40.01 <= float(ratio_db.min()) < -6
    assert (ratio_db.diff() >= -1e-4).all()  # never less of a higher band


def test_a_mel_shift_moves_whole_bands_and_repeats_the_end() -> None:
    power = powers(64)
    chosen = np.ones(64, bool)
    out = augment.mel_shift(power, most=2, chosen=chosen, rng=np.random.default_rng(0))
    seen = set()
    for before, after in zip(power, out, strict=True):
        rows = np.clip(np.arange(128)[:, None] - np.arange(-2, 3), 0, 127)  # (mel, shift)
        shifts = [s - 2 for s in range(5) if torch.equal(after, before[rows[:, s]])]
        assert len(shifts) == 1
        seen.update(shifts)
    assert seen == {-2, -1, 0, 1, 2}
    none = augment.mel_shift(power, most=2, chosen=np.zeros(64, bool), rng=np.random.default_rng(0))
    assert torch.equal(none, power)


def test_a_padded_tail_is_silent_to_the_end_and_leaves_the_rest() -> None:
    power = powers(spectra=313)
    out = augment.padded_tail(power, chosen=CHOSEN, rng=np.random.default_rng(0))
    assert torch.equal(out[2], power[2])
    for before, after in zip(power[[0, 1, 3]], out[[0, 1, 3]], strict=True):
        silent = (after == 0).all(dim=0)
        end = int(silent.int().argmax())
        assert 0.45 * 313 <= end <= 0.95 * 313 + 1
        assert silent[end:].all()
        assert torch.equal(after[:, :end], before[:, :end])


def test_a_head_starts_at_its_prior() -> None:
    network = build_network(ModelArguments(5))
    start_head(network, 0.02)
    network.eval()
    with torch.no_grad():
        scores = torch.sigmoid(network(torch.zeros(1, 1, 64, 64)))
    np.testing.assert_allclose(scores.numpy(), 0.02, atol=0.01)


def test_the_extra_share_is_what_extra_data_get() -> None:
    sources = [Source(Path(), str(i), 10 * (i + 1), (i % 3,), extra=i >= 4) for i in range(8)]
    numbers = list(range(8))
    settings = Settings(sample_by="duration", extra_share=0.35)
    shares = class_shares(sources, numbers, settings, 100)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[4:].sum() == pytest.approx(0.35)
    plain = class_shares(sources, numbers, Settings(sample_by="duration"), 100)
    # Inside either part the proportions stay.
    np.testing.assert_allclose(shares[:4] / shares[:4].sum(), plain[:4] / plain[:4].sum())


def test_weights_from_tensorflow_give_the_same_under_torch_s_epsilon(tmp_path: Path) -> None:
    network = build_network(ModelArguments(3))
    names = [name for name in network.state_dict() if ".se." not in name and not name.startswith("classifier")]
    generator = torch.Generator().manual_seed(1)
    ported = {}
    for name in names:
        value = network.state_dict()[name]
        if value.is_floating_point():
            value = torch.rand(value.shape, generator=generator) * 1e-3
        # Names that timm does not have, in its order, as the TensorFlow ports call them.
        ported["_blocks." + name] = value
    torch.save(ported, tmp_path / "ported.pth")
    load_initial(network, tmp_path / "ported.pth", codes=("a", "b", "c"))
    loaded = network.state_dict()
    gain, variance = ported["_blocks.bn1.weight"], ported["_blocks.bn1.running_var"]
    assert torch.equal(loaded["bn1.running_var"], variance)
    expected = gain / (variance + 1e-3).sqrt()
    np.testing.assert_allclose((loaded["bn1.weight"] / (variance + 1e-5).sqrt()).numpy(), expected.numpy(), rtol=1e-5)


def test_a_padded_window_looks_like_the_front_end_s() -> None:
    from birdwatch.checkpoint.frontend import images_of

    spec = FrontendSpec()
    power = powers(1, spec.n_mels, spec.spectra)
    padded = augment.padded_tail(power, chosen=np.array([True]), rng=np.random.default_rng(1))
    image = images_of(padded, spec)[0, 0]
    assert float(image[:, -1].max()) == 0.0
    assert float(image.max()) > 0.9  # the resize blurs the loudest pixel

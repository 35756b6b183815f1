import numpy as np
import torch

from birdwatch.checkpoint.frontend import images_of
from birdwatch.model.frontend import FrontendSpec
from train.batches import network_input
from train.settings import Settings

SPEC = FrontendSpec()
OFF = {"aug_prob": 0.0, "mixup_prob": 0.0}


def batch(size: int = 4, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mel = torch.rand(size, SPEC.spectra, SPEC.n_mels, generator=generator) ** 4
    return {"mel": mel, "target": torch.eye(size, 5), "weight": torch.ones(size, 5), **more}


def shown(settings: Settings, loaded: dict[str, torch.Tensor], seed: int = 0) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    made = network_input(loaded, settings, SPEC, np.random.default_rng(seed))
    return made.images, made.targets, made.weights


def test_without_augmentation_the_network_sees_the_front_ends_images() -> None:
    loaded = batch()
    images, targets, weights = shown(Settings(**OFF), loaded)
    assert images.shape == (4, 1, 256, 256)
    torch.testing.assert_close(images, images_of(loaded["mel"].transpose(1, 2), SPEC))
    assert torch.equal(targets, loaded["target"])
    assert torch.equal(weights, loaded["weight"])


def test_mixup_of_images_mixes_images_and_targets_alike() -> None:
    loaded = batch()
    plain, _, _ = shown(Settings(**OFF), loaded)
    images, targets, _ = shown(Settings(aug_prob=0.0), loaded, seed=3)
    assert not torch.equal(targets, loaded["target"])
    # Each target row is a weighted mean of two of the four; the image must be the same mean of the same two.
    for image, target in zip(images, targets[:, :4], strict=True):
        torch.testing.assert_close(target.sum(), torch.tensor(1.0))
        torch.testing.assert_close(image, torch.einsum("b,bchw->chw", target, plain), rtol=1e-4, atol=1e-5)


def test_mixup_may_take_the_maximum_of_the_labels() -> None:
    _, targets, _ = shown(Settings(aug_prob=0.0, mixup_targets="max"), batch(), seed=3)
    assert set(targets.flatten().tolist()) == {0.0, 1.0}
    assert targets.sum() > 4


def test_mixup_of_powers_takes_the_union_and_masks_what_either_masks() -> None:
    loaded = batch()
    loaded["weight"][0, 4] = 0.0
    images, targets, weights = shown(Settings(aug_prob=0.0, mixup_on="power"), loaded, seed=3)
    plain, _, _ = shown(Settings(**OFF), loaded)
    mixed = targets.sum(dim=1) == 2
    assert mixed.any()
    assert ((images - plain).abs().amax(dim=(1, 2, 3)) > 0)[mixed].all()
    assert (targets >= loaded["target"]).all()
    assert (weights[:, 4] == 0).sum() == 2


def test_pseudo_labels_are_mixed_in_with_their_scores() -> None:
    pseudo = torch.zeros(4, SPEC.spectra, SPEC.n_mels)
    pseudo[1] = torch.rand(SPEC.spectra, SPEC.n_mels)
    scores = torch.zeros(4, 5)
    scores[1, 4] = 0.7
    loaded = batch(pseudo=pseudo, pseudo_target=scores)
    plain, _, _ = shown(Settings(**OFF), loaded | {"pseudo": torch.zeros_like(pseudo)})
    images, targets, _ = shown(Settings(**OFF), loaded)
    changed = (images - plain).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert changed.tolist() == [False, True, False, False]
    assert torch.equal(targets, torch.maximum(loaded["target"], scores))


def test_background_changes_the_image_but_not_the_targets() -> None:
    loaded = batch(background=torch.rand(4, SPEC.spectra, SPEC.n_mels))
    plain, _, _ = shown(Settings(**OFF), batch())
    images, targets, _ = shown(Settings(**OFF), loaded)
    assert ((images - plain).abs().amax(dim=(1, 2, 3)) > 1e-2).all()
    assert torch.equal(targets, loaded["target"])


def test_every_augmentation_at_once_gives_images_in_range_and_repeats() -> None:
    settings = Settings(
        aug_prob=1.0,
        mask_prob=1.0,
        mixup_on="power",
        gain_db=6.0,
        equaliser_prob=1.0,
        noise_floor_prob=1.0,
        low_pass_prob=1.0,
    )
    loaded = batch(background=torch.rand(4, SPEC.spectra, SPEC.n_mels))
    first, again, other = shown(settings, loaded), shown(settings, loaded), shown(settings, loaded, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert first[0].min() >= 0
    assert first[0].max() <= 1
    assert torch.isfinite(first[0]).all()


def test_augmentation_leaves_the_loaded_batch_alone() -> None:
    loaded = batch()
    before = {name: value.clone() for name, value in loaded.items()}
    shown(Settings(aug_prob=1.0, mixup_on="power", equaliser_prob=1.0, noise_floor_prob=1.0), loaded)
    assert all(torch.equal(before[name], value) for name, value in loaded.items())


def test_an_embedding_follows_the_mixing_and_counts_for_less_where_something_else_sounds() -> None:
    taught = {"embedding": torch.eye(4, 3), "embedding_weight": torch.tensor([1.0, 1.0, 0.0, 1.0])}
    rng = np.random.default_rng
    plain = network_input(batch(**taught), Settings(**OFF), SPEC, rng(0))
    assert plain.embeddings is not None
    assert torch.equal(plain.embeddings, taught["embedding"])
    assert plain.embedding_weights is not None
    assert plain.embedding_weights.tolist() == [1.0, 1.0, 0.0, 1.0]
    # Backgrounds: one window has some, the others silence.
    background = torch.zeros(4, SPEC.spectra, SPEC.n_mels)
    background[0] = 1.0
    under = network_input(batch(background=background, **taught), Settings(**OFF), SPEC, rng(0))
    assert under.embedding_weights is not None
    assert under.embedding_weights.tolist() == [0.5, 1.0, 0.0, 1.0]
    mixed = network_input(batch(**taught), Settings(aug_prob=0.0, mixup_on="power"), SPEC, rng(3))
    assert mixed.embeddings is not None
    assert mixed.embedding_weights is not None
    pairs = [row.nonzero().flatten().tolist() for row in mixed.targets]
    for number, pair in enumerate(pairs):
        both = torch.stack([taught["embedding"][i] for i in pair]).amax(dim=0)
        assert torch.equal(mixed.embeddings[number], both)
        known = all(taught["embedding_weight"][i] > 0 for i in pair)
        assert mixed.embedding_weights[number] == known * (1.0 if pair == [number] else 0.5)
    blended = network_input(batch(**taught), Settings(aug_prob=0.0), SPEC, rng(3))
    assert blended.embeddings is not None
    torch.testing.assert_close(blended.embeddings, blended.targets[:, :3])


def test_without_a_teacher_there_is_no_embedding() -> None:
    assert network_input(batch(), Settings(**OFF), SPEC, np.random.default_rng(0)).embeddings is None

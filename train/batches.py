"""From a loaded batch to what the network is shown: mixing, images, masks, in the recipe's order, on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from birdwatch.checkpoint.frontend import images_of
from birdwatch.model.frontend import FrontendSpec

from . import augment
from .settings import Settings

__all__ = ["Shown", "network_input"]

# What an embedding is worth where another sound was mixed in: the teacher heard the window without it.
MIXED_WORTH = 0.5


@dataclass(slots=True)
class Shown:
    """What a batch shows the network: images `(B, 1, H, W)`, targets and loss weights `(B, classes)`.

    With a teacher, also embeddings `(B, size)` and their weights `(B,)`.
    """

    images: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    embeddings: torch.Tensor | None = None
    embedding_weights: torch.Tensor | None = None


def network_input(
    batch: Mapping[str, torch.Tensor], settings: Settings, spec: FrontendSpec, rng: np.random.Generator
) -> Shown:
    """A batch on its device, augmented.

    The random numbers come from `rng`, but for the noise floor's, which come from torch.
    """
    power = batch["mel"].transpose(1, 2)  # (B, n_mels, T)
    targets, weights = batch["target"], batch["weight"]
    embeddings, worth = batch.get("embedding"), batch.get("embedding_weight")
    size = len(power)

    # A varied sound stays the one that the teacher heard.
    open_to_change = ~batch["varied"].cpu().numpy() if "varied" in batch else np.ones(size, np.bool_)

    def chosen(probability: float) -> augment.Chosen:
        return np.asarray(rng.random(size) < probability)

    def as_sound(probability: float) -> augment.Chosen:
        return chosen(probability) & open_to_change

    # As sounds: mel powers add.
    if settings.mixup_on == "power" and settings.mixup_prob > 0:
        other = torch.from_numpy(rng.permutation(size)).to(power.device)
        level = augment.uniform_db(rng, size, -settings.mixup_gain_db, settings.mixup_gain_db)
        mixed = as_sound(settings.mixup_prob)
        power = augment.mix_powers(power, power[other], level * mixed)
        where = torch.from_numpy(mixed).to(power.device)[:, None]
        targets = torch.where(where, torch.maximum(targets, targets[other]), targets)
        weights = torch.where(where, torch.minimum(weights, weights[other]), weights)
        if embeddings is not None and worth is not None:
            embeddings = torch.where(where, torch.maximum(embeddings, embeddings[other]), embeddings)
            worth = torch.where(where[:, 0], MIXED_WORTH * torch.minimum(worth, worth[other]), worth)
    if "pseudo" in batch:
        # The soundscape at about the window's level; where none was drawn it is silent and its targets are 0.
        level = augment.uniform_db(rng, size, -settings.mixup_gain_db, settings.mixup_gain_db)
        power = augment.mix_powers(power, batch["pseudo"].transpose(1, 2), level)
        targets = torch.maximum(targets, batch["pseudo_target"])
        worth = halved(worth, batch["pseudo"])
    if settings.gain_db > 0:
        power = augment.gain(power, augment.uniform_db(rng, size, -settings.gain_db, settings.gain_db))
    if "background" in batch:
        level = augment.uniform_db(rng, size, settings.background_low_db, settings.background_high_db)
        power = augment.mix_powers(power, batch["background"].transpose(1, 2), level)
        worth = halved(worth, batch["background"])
    if settings.equaliser_prob > 0:
        use = as_sound(settings.equaliser_prob)
        power = augment.equalise(power, spread_db=settings.equaliser_db, chosen=use, rng=rng)
    if settings.noise_floor_prob > 0:
        level = augment.uniform_db(rng, size, settings.noise_floor_low_db, settings.noise_floor_high_db)
        power = augment.noise_floor(power, level * as_sound(settings.noise_floor_prob))
    if settings.low_pass_prob > 0:
        use = as_sound(settings.low_pass_prob)
        power = augment.low_pass(power, least=settings.low_pass_from, chosen=use, rng=rng)
    if settings.high_pass_prob > 0:
        use = as_sound(settings.high_pass_prob)
        power = augment.high_pass(power, most=settings.high_pass_to, chosen=use, rng=rng)
    if settings.mel_shift_prob > 0:
        power = augment.mel_shift(power, most=settings.mel_shift, chosen=as_sound(settings.mel_shift_prob), rng=rng)
    if settings.padding_prob > 0:
        power = augment.padded_tail(power, chosen=as_sound(settings.padding_prob), rng=rng)

    # As pictures: the published recipe.
    images = images_of(power, spec)
    augmented = chosen(settings.aug_prob)
    images = augment.time_masks(
        images,
        most=settings.time_masks,
        widest=settings.time_mask_width,
        chosen=augmented & chosen(settings.mask_prob),
        rng=rng,
    )
    images = augment.frequency_masks(
        images,
        most=settings.freq_masks,
        widest=settings.freq_mask_width,
        chosen=augmented & chosen(settings.mask_prob),
        rng=rng,
    )
    images = augment.brightness(
        images,
        spread=settings.brightness_gain,
        shift=settings.brightness_bias,
        chosen=augmented & chosen(settings.mask_prob),
        rng=rng,
    )
    if settings.mixup_on == "image" and rng.random() < settings.mixup_prob:
        other = torch.from_numpy(rng.permutation(size)).to(images.device)
        # One lambda a batch, as published.
        share = np.full(size, rng.beta(settings.mixup_alpha, settings.mixup_alpha))
        images = augment.mix_values(images, images[other], share)
        if settings.mixup_targets == "max":
            targets = torch.maximum(targets, targets[other])
        else:
            targets = augment.mix_values(targets, targets[other], share)
        weights = torch.minimum(weights, weights[other])
        if embeddings is not None and worth is not None:
            embeddings = augment.mix_values(embeddings, embeddings[other], share)
            worth = MIXED_WORTH * torch.minimum(worth, worth[other])
    return Shown(images, targets, weights, embeddings, worth)


def halved(worth: torch.Tensor | None, mixed_in: torch.Tensor) -> torch.Tensor | None:
    """At most half of an embedding's worth `(B,)` where the sound mixed in `(B, T, n_mels)` is not silence."""
    if worth is None:
        return None
    return torch.where(mixed_in.amax(dim=(1, 2)) > 0, worth.clamp_max(MIXED_WORTH), worth)

"""Makes the network's input of a loaded batch: an ordered list of augmentations, each with its probability.

Sounds come first (mel powers add), then the front end's image, then pictures (masks, brightness, mixup), as in the
published recipe. Everything runs on the batch's device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from birdwatch.checkpoint.frontend import images_of
from birdwatch.model.frontend import FrontendSpec

from . import augment
from .augment import Chosen
from .settings import Settings

__all__ = ["IMAGE_AUGMENTATIONS", "SOUND_AUGMENTATIONS", "Augmentation", "Shown", "network_input"]

# Weight of the embedding if another sound was mixed in: the teacher scored the window without it.
MIXED_WORTH = 0.5


@dataclass(slots=True)
class Shown:
    """The network's input: images `(B, 1, H, W)`, targets and loss weights `(B, classes)`.

    With a teacher, also embeddings `(B, size)` and their weights `(B,)`.
    """

    images: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    embeddings: torch.Tensor | None = None
    embedding_weights: torch.Tensor | None = None


@dataclass(slots=True)
class Batch:
    """A batch during augmentation: the loaded data, and the result so far.

    power: mel powers `(B, n_mels, T)`, until `images` `(B, 1, H, W)` are made of them. worth: the embeddings' weights.
    """

    loaded: Mapping[str, torch.Tensor]
    power: torch.Tensor
    images: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    embeddings: torch.Tensor | None
    worth: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.targets)


Apply = Callable[[Batch, Chosen, Settings, np.random.Generator], None]


class Augmentation(NamedTuple):
    """A step of the list: `apply` changes the batch where `chosen` `(B,)`, drawn with `probability` for each window."""

    probability: Callable[[Settings], float]
    apply: Apply


def mix_sounds(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """Each chosen window with another one of the batch, as sounds mix, with the union of their labels."""
    order = rng.permutation(len(batch))
    # A window that is paired with itself is not a mixture.
    chosen = chosen & (order != np.arange(len(batch)))
    other = torch.from_numpy(order).to(batch.power.device)
    level = augment.uniform_db(rng, len(batch), -settings.mixup_gain_db, settings.mixup_gain_db)
    batch.power = augment.mix_powers(batch.power, batch.power[other], level * chosen)
    where = torch.from_numpy(chosen).to(batch.power.device)[:, None]
    batch.targets = torch.where(where, torch.maximum(batch.targets, batch.targets[other]), batch.targets)
    batch.weights = torch.where(where, torch.minimum(batch.weights, batch.weights[other]), batch.weights)
    if batch.embeddings is not None and batch.worth is not None:
        both = torch.maximum(batch.embeddings, batch.embeddings[other])
        batch.embeddings = torch.where(where, both, batch.embeddings)
        worth = MIXED_WORTH * torch.minimum(batch.worth, batch.worth[other])
        batch.worth = torch.where(where[:, 0], worth, batch.worth)


def mix_pseudo(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A pseudo-labelled window at about the window's level; silence without targets where none was loaded."""
    level = augment.uniform_db(rng, len(batch), -settings.mixup_gain_db, settings.mixup_gain_db)
    pseudo = batch.loaded["pseudo"]
    batch.power = augment.mix_powers(batch.power, pseudo.transpose(1, 2), level)
    batch.targets = torch.maximum(batch.targets, batch.loaded["pseudo_target"])
    batch.worth = halved(batch.worth, pseudo)


def change_gain(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A random gain: the background that is mixed in afterwards is louder or softer beside it."""
    batch.power = augment.gain(batch.power, augment.uniform_db(rng, len(batch), -settings.gain_db, settings.gain_db))


def mix_background(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """The loaded background under the window; silence where none was loaded."""
    level = augment.uniform_db(rng, len(batch), settings.background_low_db, settings.background_high_db)
    background = batch.loaded["background"]
    batch.power = augment.mix_powers(batch.power, background.transpose(1, 2), level)
    batch.worth = halved(batch.worth, background)


def equalise(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A random equaliser."""
    batch.power = augment.equalise(batch.power, spread_db=settings.equaliser_db, chosen=chosen, rng=rng)


def add_noise(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A noise floor, whose numbers come from torch's generator of the device."""
    level = augment.uniform_db(rng, len(batch), settings.noise_floor_low_db, settings.noise_floor_high_db)
    batch.power = augment.noise_floor(batch.power, level * chosen)


def low_pass(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A codec's upper limit."""
    batch.power = augment.low_pass(batch.power, least=settings.low_pass_from, chosen=chosen, rng=rng)


def high_pass(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A recorder's rumble filter."""
    batch.power = augment.high_pass(batch.power, most=settings.high_pass_to, chosen=chosen, rng=rng)


def mel_shift(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """A shift along the mel axis."""
    batch.power = augment.mel_shift(batch.power, most=settings.mel_shift, chosen=chosen, rng=rng)


def pad_tail(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """Digital silence at the end."""
    batch.power = augment.padded_tail(batch.power, chosen=chosen, rng=rng)


def mask_times(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """Time masks."""
    most, widest = settings.time_masks, settings.time_mask_width
    batch.images = augment.time_masks(batch.images, most=most, widest=widest, chosen=chosen, rng=rng)


def mask_frequencies(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """Frequency masks."""
    most, widest = settings.freq_masks, settings.freq_mask_width
    batch.images = augment.frequency_masks(batch.images, most=most, widest=widest, chosen=chosen, rng=rng)


def brighten(batch: Batch, chosen: Chosen, settings: Settings, rng: np.random.Generator) -> None:
    """Brightness and contrast."""
    spread, shift = settings.brightness_gain, settings.brightness_bias
    batch.images = augment.brightness(batch.images, spread=spread, shift=shift, chosen=chosen, rng=rng)


def mix_images(batch: Batch, settings: Settings, rng: np.random.Generator) -> None:
    """Mixup of the whole batch with one lambda, as published."""
    other = torch.from_numpy(rng.permutation(len(batch))).to(batch.images.device)
    share = np.full(len(batch), rng.beta(settings.mixup_alpha, settings.mixup_alpha))
    batch.images = augment.mix_values(batch.images, batch.images[other], share)
    if settings.mixup_targets == "max":
        batch.targets = torch.maximum(batch.targets, batch.targets[other])
    else:
        batch.targets = augment.mix_values(batch.targets, batch.targets[other], share)
    batch.weights = torch.minimum(batch.weights, batch.weights[other])
    if batch.embeddings is not None and batch.worth is not None:
        batch.embeddings = augment.mix_values(batch.embeddings, batch.embeddings[other], share)
        batch.worth = MIXED_WORTH * torch.minimum(batch.worth, batch.worth[other])


def certain(_: Settings) -> float:
    """Done to each window: which ones have something to mix in was drawn when they were loaded."""
    return 1.0


# Augmentations whose data are not loaded are left out.
NEEDS: dict[Apply, str] = {mix_pseudo: "pseudo", mix_background: "background"}

SOUND_AUGMENTATIONS: tuple[Augmentation, ...] = (
    Augmentation(lambda s: s.mixup_prob if s.mixup_on == "power" else 0.0, mix_sounds),
    Augmentation(certain, mix_pseudo),
    Augmentation(lambda s: float(s.gain_db > 0), change_gain),
    Augmentation(certain, mix_background),
    Augmentation(lambda s: s.equaliser_prob, equalise),
    Augmentation(lambda s: s.noise_floor_prob, add_noise),
    Augmentation(lambda s: s.low_pass_prob, low_pass),
    Augmentation(lambda s: s.high_pass_prob, high_pass),
    Augmentation(lambda s: s.mel_shift_prob, mel_shift),
    Augmentation(lambda s: s.padding_prob, pad_tail),
)
# Each in the windows whose image is augmented at all (`aug_prob`).
IMAGE_AUGMENTATIONS: tuple[Augmentation, ...] = (
    Augmentation(lambda s: s.mask_prob, mask_times),
    Augmentation(lambda s: s.mask_prob, mask_frequencies),
    Augmentation(lambda s: s.mask_prob, brighten),
)


def network_input(
    loaded: Mapping[str, torch.Tensor], settings: Settings, spec: FrontendSpec, rng: np.random.Generator
) -> Shown:
    """A batch on its device, augmented.

    The random numbers come from `rng`, but for the noise floor's, which come from torch.
    """
    power = loaded["mel"].transpose(1, 2)  # (B, n_mels, T)
    embeddings, worth = loaded.get("embedding"), loaded.get("embedding_weight")
    batch = Batch(loaded, power, power[:, None], loaded["target"], loaded["weight"], embeddings, worth)
    # A synthetic mixture must stay as the teacher scored it.
    may_change = ~loaded["varied"].cpu().numpy() if "varied" in loaded else np.ones(len(batch), np.bool_)
    for step in SOUND_AUGMENTATIONS:
        probability = step.probability(settings)
        if probability > 0 and NEEDS.get(step.apply, "mel") in loaded:
            step.apply(batch, (rng.random(len(batch)) < probability) & may_change, settings, rng)
    batch.images = images_of(batch.power, spec)
    augmented = rng.random(len(batch)) < settings.aug_prob
    for step in IMAGE_AUGMENTATIONS:
        step.apply(batch, augmented & (rng.random(len(batch)) < step.probability(settings)), settings, rng)
    if settings.mixup_on == "image" and rng.random() < settings.mixup_prob:
        mix_images(batch, settings, rng)
    return Shown(batch.images, batch.targets, batch.weights, batch.embeddings, batch.worth)


def halved(worth: torch.Tensor | None, mixed_in: torch.Tensor) -> torch.Tensor | None:
    """Embedding weights `(B,)`, at most half where the sound mixed in `(B, T, n_mels)` is not silence."""
    if worth is None:
        return None
    return torch.where(mixed_in.amax(dim=(1, 2)) > 0, worth.clamp_max(MIXED_WORTH), worth)

"""All settings of a training run with their defaults: the published recipe, unless a comment says otherwise.

The command line's options and the keys of `--config` are generated from the fields below, and a run folder's
`config.toml` has all of them: `--config runs/a/config.toml` repeats a run.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from birdwatch.errors import ConfigError

__all__ = ["RUNTIME", "Settings", "read_toml", "setting_types", "to_toml"]


def setting(default: Any, text: str) -> Any:
    """A field with its default and its one line of help."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run; equal settings and data give equal results on the same machine.

    Paths are text, empty for none. Seconds are `_s`, decibels `_db`, shares and probabilities 0 to 1.
    """

    data: str = setting(
        "",
        "train.csv of the competition, or xeno-canto's json (a file or folder); without it audio-root is a folder with "
        "one sub-folder per class",
    )
    audio_root: str = setting("", "folder to which the csv's filenames are relative")
    taxonomy: str = setting("", "taxonomy.csv: the classes in their order; without it the data's labels, sorted")
    cache: str = setting("", "folder of the mel spectrograms; missing ones are added")
    out: str = setting("", "run folder to write")

    soft_labels: str = setting("", "csv or parquet: filename,start_s,end_s,label,score (a teacher's, per recording)")
    primary_floor: float = setting(0.0, "minimum target of the primary label with soft labels")
    teacher: str = setting("", "npz of teach: a teacher's embeddings and classifier, for distillation")
    teacher_weight: float = setting(0.5, "weight of the embedding's loss relative to the labels', with a teacher")
    varied: str = setting("", "folder of vary: synthetic mixtures with the teacher's scores, for training")
    varied_share: float = setting(0.85, "share of an epoch's windows that are synthetic mixtures, with varied")
    extra_data: str = setting(
        "", "csv of recordings for training, never for validation; labels outside the classes are negatives"
    )
    extra_root: str = setting("", "folder of extra-data's files")
    negatives: str = setting("", "folder of recordings in which no class occurs, for training only")
    background: str = setting("", "folder of sounds to mix with the recordings, also used for noise-share")
    pseudo: str = setting("", "csv of pseudo-label: soundscape windows to mix in")
    pseudo_root: str = setting("", "folder of the soundscapes in pseudo")
    skip_broken: bool = setting(False, "train without missing or broken recordings, instead of stopping")

    arch: str = setting("efficientnet_b0", "timm's name of the network")
    head: Literal["linear", "sed"] = setting("linear", "linear, or attention over time, which scores segments too")
    sed_frame_weight: float = setting(0.5, "head sed: weight of the highest frame's loss relative to the window's")
    window_s: float = setting(
        5.0, "length of a window in s, 5 to 20; with head sed its 5 s segments are scored as well"
    )
    image_width: int = setting(0, "time pixels of the image; 0 is 256 for each 5 s")
    input_pool: int = setting(1, "size of average pooling before the network: 2 takes a quarter of the computation")
    input_pool_time: int = setting(0, "size of that pooling along time: 1 keeps fast trills; 0: input-pool")
    pretrained: bool = setting(False, "start from timm's ImageNet weights (needs the network or timm's cache)")
    init: str = setting("", "start from a local .safetensors, .pt, .pth or exported .onnx file")
    head_prior: float = setting(0.0, "initial score of a new head; 0: timm's, about one half")
    freeze_stages: int = setting(0, "number of first stages of an EfficientNet that are frozen, with the stem")
    head_ridge: float = setting(
        0.0, "initialise a teacher's head by ridge regression with this penalty, such as 0.1; 0: at random"
    )
    drop_rate: float = setting(0.2, "dropout before the head")
    drop_path_rate: float = setting(0.2, "stochastic depth")

    clip: Literal["center", "random", "energy", "labelled", "all"] = setting(
        "center", "windows to train on; labelled follows the soft labels, all takes every window"
    )
    window_hop_s: float = setting(5.0, "hop of the windows in s, for clip all and for validation")
    secondary: Literal["used", "masked", "ignored"] = setting(
        "used", "secondary labels: used as targets, masked out of the loss, or ignored"
    )
    sample_by: Literal["each", "count", "duration"] = setting(
        "each", "each recording once per epoch, or classes by number or duration of their recordings"
    )
    sample_exponent: float = setting(0.5, "a class is sampled in proportion to its count or duration to this power")
    sample_floor: float = setting(0.0, "minimum expected windows per class and epoch, when sampling by class")
    epoch_windows: int = setting(0, "windows per epoch; 0: one per recording (clip all: every window)")
    negative_share: float = setting(0.1, "share of an epoch from negatives and unlabelled extra data, with these")
    extra_share: float = setting(0.0, "share of the class-sampled windows from extra-data; 0: as sampled")
    noise_share: float = setting(0.0, "share of an epoch that is background alone, with background")

    folds: int = setting(5, "folds of the cross-validation")
    fold: str = setting("0", "0, 1, ..., all, or none: train on everything, without validation")
    split: Literal["grouped", "stratified"] = setting(
        "grouped", "grouped keeps each recordist in one fold; stratified is the published random split"
    )
    epochs: int = setting(10, "epochs")
    loss: Literal["bce", "focal", "ce", "soft_auc"] = setting(
        "bce", "binary cross-entropy, focal, cross-entropy over a softmax, or soft AUC with some binary cross-entropy"
    )
    label_smoothing: float = setting(0.0, "share of each window's targets that is spread over all classes")
    focal_gamma: float = setting(2.0, "focal loss: exponent of the modulating factor")
    focal_alpha: float = setting(0.25, "focal loss: weight of positives; that of negatives is 1 minus this")
    auc_bce: float = setting(0.25, "soft AUC: weight of the additional binary cross-entropy")
    stop_epoch: int = setting(0, "stop after this epoch of the schedule of all epochs; 0: no early stop")
    batch_size: int = setting(32, "windows per batch")
    lr: float = setting(5e-4, "maximum learning rate (AdamW)")
    min_lr: float = setting(1e-6, "learning rate at the end of the cosine")
    weight_decay: float = setting(1e-5, "weight decay")
    schedule: Literal["epoch", "step"] = setting("epoch", "update the cosine every epoch, as published, or every step")
    warmup_epochs: float = setting(0.0, "epochs of linear warm-up before the cosine")
    clip_grad: float = setting(0.0, "maximum gradient norm; 0: no clipping")
    ema: float = setting(0.0, "decay of a moving average of the weights, which is validated and saved; 0: none")
    average_last: int = setting(0, "also write average.pt, the mean of the last epochs' weights; 0: none")
    select: Literal["best", "last"] = setting(
        "best", "epoch saved in best.pt: the best on the held-out fold, or the last"
    )
    seed: int = setting(42, "seed of all random generators")

    aug_prob: float = setting(0.5, "probability that a window's image is augmented")
    mask_prob: float = setting(
        0.5, "probability of each of time masks, frequency masks and brightness, in an augmented image"
    )
    time_masks: int = setting(3, "maximum number of time masks per image")
    time_mask_width: int = setting(20, "maximum width of a time mask, pixels (minimum 5)")
    freq_masks: int = setting(3, "maximum number of frequency masks per image")
    freq_mask_width: int = setting(20, "maximum height of a frequency mask, pixels (minimum 5)")
    brightness_gain: float = setting(0.2, "brightness is multiplied by 1 +- this")
    brightness_bias: float = setting(0.1, "brightness is shifted by +- this")
    mixup_prob: float = setting(1.0, "probability that a batch (on images) or a window (on power) is mixed")
    mixup_alpha: float = setting(0.5, "mixup of images: lambda ~ Beta(alpha, alpha)")
    mixup_on: Literal["image", "power"] = setting(
        "image", "mix images, as published, or mel powers, which add like sounds"
    )
    mixup_targets: Literal["mix", "max"] = setting(
        "mix", "targets of a mixture: weighted by lambda, or the maximum of both"
    )
    mixup_gain_db: float = setting(6.0, "mixup of powers: the other sound's level is +- this")
    pseudo_prob: float = setting(0.5, "probability that a window is mixed with a pseudo-labelled one, with pseudo")
    background_prob: float = setting(0.5, "probability that a window is mixed with background, with background")
    background_low_db: float = setting(-20.0, "lowest level of the background, relative to the window")
    background_high_db: float = setting(0.0, "highest level of the background")
    gain_db: float = setting(0.0, "random gain of +- this before the background is mixed in")
    equaliser_prob: float = setting(0.0, "probability of a random equaliser")
    equaliser_db: float = setting(10.0, "the equaliser's gains are +- this")
    noise_floor_prob: float = setting(0.0, "probability of an added noise floor")
    noise_floor_low_db: float = setting(-65.0, "lowest noise floor, relative to the window's loudest bin")
    noise_floor_high_db: float = setting(-30.0, "highest noise floor")
    mel_shift_prob: float = setting(0.0, "probability of a shift along the mel axis")
    mel_shift: int = setting(2, "maximum shift, in mel bands up or down")
    high_pass_prob: float = setting(0.0, "probability of a high-pass")
    high_pass_to: float = setting(0.15, "maximum cut-off of the high-pass, as a share of the mel axis")
    padding_prob: float = setting(
        0.0, "probability that a window ends in digital silence, like the padded tail of a recording"
    )
    low_pass_prob: float = setting(0.0, "probability of a low-pass")
    low_pass_from: float = setting(0.55, "minimum cut-off of the low-pass, as a share of the mel axis")

    threshold_precision: float = setting(0.9, "target precision of the thresholds, on out-of-fold predictions")
    threshold_positives: int = setting(8, "minimum recordings of a class for its own threshold")
    thresholds: str = setting("", "thresholds.json of another run to put into the checkpoints (for fold none)")
    name: str = setting("birdwatch", "the model's name, in its manifest")
    license: str = setting("", "the weights' licence, in the manifest")
    attribution: str = setting("", "whom to credit, in the manifest")

    device: str = setting("auto", "auto, cpu, cuda or cuda:N")
    amp: bool = setting(True, "automatic mixed precision, on CUDA")
    bf16: bool = setting(False, "compute in bfloat16 on a CPU, too: faster with AMX (needs a C++ compiler)")
    compile: bool = setting(False, "torch.compile the network (needs a C++ compiler)")
    workers: int = setting(2, "processes that load windows; 0 loads in the training process")
    tensorboard: bool = setting(False, "also log the curves for TensorBoard (needs its package)")
    threads: int = setting(0, "CPU threads of torch; 0: torch's default")

    def __post_init__(self) -> None:
        faults = []
        types = setting_types()
        for item in fields(self):
            value, kind = getattr(self, item.name), types[item.name]
            if get_origin(kind) is Literal and value not in get_args(kind):
                faults.append(f"{item.name} is {value!r}, expected one of {', '.join(get_args(kind))}")
            elif item.name.endswith(("_prob", "_share", "_rate")) and not 0.0 <= value <= 1.0:
                faults.append(f"{item.name} is {value}, expected 0 to 1")
        for name in ("epochs", "batch_size", "input_pool"):
            if getattr(self, name) < 1:
                faults.append(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.input_pool_time < 0:
            faults.append(f"input_pool_time is {self.input_pool_time}, expected at least 0")
        if not 0 <= self.stop_epoch <= self.epochs:
            faults.append(f"stop_epoch is {self.stop_epoch}, expected 0 (none) to epochs, {self.epochs}")
        if not 1.0 <= self.window_s <= 60.0 or self.image_width < 0 or self.sed_frame_weight < 0:
            faults.append("window_s must be 1 to 60, image_width and sed_frame_weight at least 0")
        if not 0.0 <= self.label_smoothing < 1.0 or not 0.0 <= self.focal_alpha <= 1.0 or self.focal_gamma < 0.0:
            faults.append("label_smoothing must be 0 to below 1, focal_alpha 0 to 1, focal_gamma at least 0")
        if not 0.0 <= self.ema < 1.0:
            faults.append(f"ema is {self.ema}, expected 0 (none) to below 1, such as 0.999")
        if self.window_hop_s <= 0 or self.mixup_alpha <= 0 or self.lr <= 0:
            faults.append("window_hop_s, mixup_alpha and lr must be above 0")
        if not 0.0 <= self.head_prior < 1.0 or not 0.0 <= self.high_pass_to < 1.0:
            faults.append("head_prior and high_pass_to must be at least 0 and below 1")
        if self.extra_share >= 1.0 or self.mel_shift < 0:
            faults.append("extra_share must be below 1, mel_shift at least 0")
        if self.negative_share + self.noise_share >= 1.0:
            faults.append("negative_share and noise_share together must leave room for the recordings")
        if not 0 <= self.freeze_stages <= 7 or self.head_ridge < 0:
            faults.append("freeze_stages must be 0 to 7 and head_ridge at least 0")
        if self.freeze_stages and not (self.init or self.pretrained):
            faults.append("freeze_stages needs initial weights: give --init or --pretrained")
        if self.folds < 2:
            faults.append(f"folds is {self.folds}, expected at least 2 (--fold none trains on everything)")
        folds = ["all", "none", *map(str, range(self.folds))]
        if self.fold not in folds:
            faults.append(f"fold is {self.fold!r}, expected one of {', '.join(folds)}")
        if self.clip == "labelled" and not self.soft_labels:
            faults.append("clip labelled needs soft labels: give --soft-labels")
        if self.varied and not self.teacher:
            faults.append("varied needs the teacher's embeddings: give --teacher")
        if self.varied and not 0.0 < self.varied_share < 1.0:
            faults.append(f"varied_share is {self.varied_share}, expected above 0 and below 1")
        if bool(self.pseudo) != bool(self.pseudo_root):
            faults.append("pseudo and pseudo_root belong together")
        if self.extra_data and not self.extra_root:
            faults.append("extra_data needs extra_root")
        if faults:
            raise ConfigError("settings: " + "; ".join(faults))

    @property
    def last_epoch(self) -> int:
        """The epoch after which training ends, from 1."""
        return self.stop_epoch or self.epochs


# Settings that may change when a run is resumed: they do not affect the weights, or only by rounding.
RUNTIME = frozenset(
    {"device", "amp", "bf16", "compile", "workers", "threads", "tensorboard", "cache", "out", "fold", "skip_broken"}
    | {"threshold_precision", "threshold_positives", "thresholds", "name", "license", "attribution"}
)


def setting_types() -> dict[str, Any]:
    """The type of each setting, by name."""
    return get_type_hints(Settings)


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, flat; raises ConfigError with every unknown key and every value of a wrong type."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"no settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    types = setting_types()
    faults = [f"unknown setting {key!r}" for key in sorted(set(values) - set(types))]
    for key, value in values.items():
        kind = types.get(key)
        expected = str if get_origin(kind) is Literal else kind
        if expected is float and type(value) is int:
            values[key] = float(value)
        elif expected is not None and type(value) is not expected:
            faults.append(f"{key} is {value!r}, expected {expected.__name__}")
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return values


def to_toml(settings: Settings) -> str:
    """All settings as TOML, which `read_toml` reads back."""
    values: Mapping[str, Any] = asdict(settings)
    # JSON's strings, numbers and booleans are valid TOML.
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())

"""Training one fold: a plain loop, read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from birdwatch.checkpoint.file import Checkpoint, save_checkpoint
from birdwatch.checkpoint.network import ModelArguments
from birdwatch.errors import ConfigError
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Manifest

from .device import choose_device, half_precision
from .draws import epoch_draws, regular_draws
from .frontend import segments_of
from .gather import Data
from .loader import Loader, batches_of, load_batches
from .optimise import learning_rate
from .predictions import Predictions, metrics_of, score_windows
from .progress import Pace
from .report_text import epoch_line
from .reproducible import seed_everything
from .settings import Settings
from .state import Metrics, State, initial_network, kept_settings
from .step import Batch, Forward, finite, timed
from .tables import save_predictions, write_table
from .teacher_head import plain_state
from .tensorboard import log_epoch
from .warm_start import start_warm
from .windows import Windows

__all__ = ["FoldData", "fit_fold"]

Say = Callable[[str], None]
# The metric by which the best epoch is chosen on the held-out fold: the competition's, on recordings.
SELECTED_BY = "recording_auc"


@dataclass(frozen=True, slots=True)
class FoldData:
    """Numbers of the sources to train on and of those held out (none: train on everything); number: -1 for none."""

    number: int
    train: tuple[int, ...]
    held_out: tuple[int, ...]

    @property
    def called(self) -> str:
        """The prefix of output lines."""
        return f"fold {self.number}" if self.held_out else "full"


@dataclass(frozen=True, slots=True)
class Fold:
    """All that stays the same while a fold is trained. varied: numbers of the varied sounds to learn from."""

    settings: Settings
    data: Data
    parts: FoldData
    folder: Path
    manifest: Manifest
    spec: FrontendSpec
    arguments: ModelArguments
    device: torch.device
    windows: Windows
    varied: npt.NDArray[np.int64] | None

    def start_warm(self, network: nn.Module, *, say: Say) -> None:
        """Statistics for an exported network's normalisations and a head by regression, where the settings say so."""
        settings, data, number = self.settings, self.data, self.parts.number
        plain = Windows(data.sources, self.spec, len(data.labels), settings=settings, fold=number, teacher=data.teacher)
        known = regular_draws(data.sources, self.parts.train, settings.window_hop_s, self.spec)
        for line in start_warm(network, settings, plain, known, self.arguments.pool):
            say(line)

    def validate(self, state: State) -> Predictions:
        """The scores of the held-out windows by the weights that are kept."""
        settings, data = self.settings, self.data
        plain = Windows(data.sources, self.spec, len(data.labels), settings=settings, fold=self.parts.number)
        held_out = regular_draws(data.sources, self.parts.held_out, settings.window_hop_s, self.spec)
        return score_windows(
            state.kept.eval(),
            plain,
            held_out,
            batch_size=settings.batch_size,
            pool=self.arguments.pool,
            device=self.device,
            workers=settings.workers,
            activation=self.manifest.activation,
        )

    def save(self, name: str, state: State, metrics: Metrics) -> None:
        """Write the weights that are kept as the checkpoint `name`."""
        lasting = {key: value for key, value in metrics.items() if key not in ("windows_per_s", "waiting_share")}
        config = asdict(self.settings) | {"fold": str(self.parts.number) if self.parts.held_out else "none"}
        checkpoint = Checkpoint(plain_state(state.kept), self.arguments, self.manifest, lasting, config)
        save_checkpoint(self.folder / name, checkpoint)


def fit_fold(
    settings: Settings, data: Data, parts: FoldData, folder: Path, manifest: Manifest, *, resume: bool, say: Say
) -> None:
    """Train a fold into `folder`: best.pt, its out-of-fold predictions oof.npz, metrics.csv, last.pt to resume from.

    With `resume` it resumes after the last whole epoch, to the same weights as without the interruption.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    seed_everything(settings.seed, parts.number + 1)
    fold = prepare_fold(settings, data, parts, folder, manifest, say=say)
    network = initial_network(settings, data, fold.arguments, say=say)
    resumed = resume and (folder / "last.pt").exists()
    if not resumed:
        fold.start_warm(network, say=say)
    state = State.begin(network, settings, fold.device)
    identity = {"settings": kept_settings(settings), "data": data.fingerprint, "soft": data.soft_labels}
    if resumed:
        state.restore(folder / "last.pt", identity)
        say(f"{parts.called}: resumes after epoch {len(state.history)} of {settings.epochs}")
    forward = Forward(
        torch.compile(state.network) if settings.compile else state.network,
        settings,
        fold.spec,
        fold.arguments.pool,
        fold.device,
        half_precision(settings, fold.device),
    )
    loader = load_batches(fold.windows, settings, fold.device)
    for epoch in range(len(state.history), settings.last_epoch):
        metrics = train_epoch(fold, state, forward, loader, epoch, say=say)
        predictions = fold.validate(state) if parts.held_out else None
        if predictions is not None:
            metrics |= metrics_of(predictions, data.sources)
        state.history.append(metrics)
        say(f"{parts.called} " + epoch_line(metrics, settings.last_epoch))
        keep_epoch(fold, state, epoch, predictions)
        state.save(folder / "last.pt", identity)
        write_table(folder / "metrics.csv", state.history)
        if settings.tensorboard:
            log_epoch(folder / "tensorboard", metrics)
    if state.total and not (folder / "average.pt").exists():
        write_average(fold, state, say=say)


def prepare_fold(
    settings: Settings, data: Data, parts: FoldData, folder: Path, manifest: Manifest, *, say: Say
) -> Fold:
    """What the fold trains on and with. Raises ConfigError where no varied sound is free of held-out recordings."""
    spec = manifest.frontend
    assert spec is not None
    varied = None
    if data.varied is not None:
        varied = data.varied.without(frozenset(data.sources[number].filename for number in parts.held_out))
        if not len(varied):
            raise ConfigError(
                f"{parts.called}: each of the {len(data.varied)} synthetic mixtures has a held-out recording; make more"
            )
        left_out = "; the others have held-out recordings" if len(varied) < len(data.varied) else ""
        say(f"{parts.called}: uses {len(varied)} of the synthetic mixtures{left_out}")
    windows = Windows(
        data.sources,
        spec,
        len(data.labels),
        settings=settings,
        fold=parts.number,
        backgrounds=data.backgrounds,
        pseudo=data.pseudo,
        teacher=data.teacher,
        varied=data.varied,
    )
    arguments = ModelArguments(
        len(data.labels),
        settings.arch,
        input_pool=settings.input_pool,
        input_pool_time=settings.input_pool_time,
        head=settings.head,
        segments=segments_of(settings),
    )
    device = choose_device(settings.device)
    return Fold(settings, data, parts, folder, manifest, spec, arguments, device, windows, varied)


def train_epoch(fold: Fold, state: State, forward: Forward, loader: Loader, epoch: int, *, say: Say) -> Metrics:
    """Train an epoch; returns its number, mean loss, learning rate and speed."""
    settings, number = fold.settings, fold.parts.number
    # Seeded anew each epoch, so that a resumed run draws what an uninterrupted one does.
    seed_everything(settings.seed, number + 1, epoch)
    rng = np.random.default_rng((settings.seed, number + 1, epoch, 1))
    draws = epoch_draws(
        fold.data.sources, fold.parts.train, settings, fold.spec, fold=number, epoch=epoch, varied=fold.varied
    )
    batches = batches_of(draws, settings.batch_size)
    state.train_mode()
    pace = Pace(f"{fold.parts.called} epoch {epoch + 1}/{settings.last_epoch}", len(draws), say)
    losses, waited_s, began_s, steps = 0.0, 0.0, perf_counter(), len(batches)

    def count(loss: torch.Tensor, step: int, batch: Batch) -> None:
        nonlocal losses
        value, size = finite(loss, epoch, step, batch, draws, fold.windows), len(batch["mel"])
        losses += value * size
        pace.push(size, value)

    # A loss is read after the next step was queued on the device, since reading it waits for the device.
    last: tuple[torch.Tensor, int, Batch] | None = None
    for step, (batch, wait_s) in enumerate(timed(loader.load(batches))):
        loss = forward.loss(batch, rng)
        state.update(loss, learning_rate(settings, epoch + step / steps), settings, epoch * steps + step)
        waited_s += wait_s
        if last is not None:
            count(*last)
        last = (loss.detach(), step, batch)
    if last is not None:
        count(*last)
    taken_s = perf_counter() - began_s
    return {
        "epoch": epoch + 1,
        "loss": losses / len(draws),
        "lr": learning_rate(settings, epoch),
        "windows_per_s": len(draws) / taken_s,
        "waiting_share": waited_s / taken_s,
    }


def keep_epoch(fold: Fold, state: State, epoch: int, predictions: Predictions | None) -> None:
    """Write best.pt and its out-of-fold predictions if this epoch is the best; count it into the average."""
    settings, metrics = fold.settings, state.history[-1]
    if epoch >= settings.last_epoch - settings.average_last:
        state.add_to_total()
    score = metrics.get(SELECTED_BY)
    if settings.select == "last" or score is None:
        score = float(epoch)
    if score > state.best:
        state.best = score
        fold.save("best.pt", state, metrics)
        if predictions is not None:
            names = [item.filename for item in fold.data.sources]
            save_predictions(fold.folder / "oof.npz", predictions, names)


def write_average(fold: Fold, state: State, *, say: Say) -> None:
    """Write average.pt, the mean of the last epochs' weights, evaluated on the held-out fold."""
    settings = fold.settings
    state.load_mean(settings.average_last)
    metrics: Metrics = {"epoch": settings.last_epoch}
    if fold.parts.held_out:
        metrics |= metrics_of(fold.validate(state), fold.data.sources)
        line = epoch_line(metrics, None)
        say(f"{fold.parts.called} average of the last {settings.average_last} epochs: {line}")
    fold.save("average.pt", state, metrics)

"""Training one fold: a plain loop, read from top to bottom."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from birdwatch.checkpoint.file import Checkpoint, load_tensors, save_checkpoint, save_tensors
from birdwatch.checkpoint.network import ModelArguments, build_network, pool_input, start_head
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.model.manifest import Manifest

from .batches import network_input
from .device import choose_device
from .draws import epoch_draws, regular_draws
from .gather import Data
from .judge import Predictions, judge, score_windows
from .optimise import learning_rate, masked_bce, move_average
from .report_text import epoch_line
from .reproducible import seed_everything
from .settings import RUNTIME, Settings
from .tables import save_predictions, write_table
from .teacher_head import embedding_loss, plain_state, put_teacher_head
from .weights import load_initial
from .windows import NOISE, VARIED, Draw, Windows

__all__ = ["FoldData", "TrainingError", "fit_fold", "kept_settings"]

Say = Callable[[str], None]
Batch = Mapping[str, torch.Tensor]
# What the held-out fold's best epoch is chosen by: the competition's metric, on recordings.
SELECTED_BY = "recording_auc"


class TrainingError(BirdwatchError):
    """Training cannot go on: the loss is no longer a number."""


@dataclass(frozen=True, slots=True)
class FoldData:
    """Numbers of the sources to train on and of those held out (none: train on everything); number: -1 for none."""

    number: int
    train: tuple[int, ...]
    held_out: tuple[int, ...]


def fit_fold(
    settings: Settings, data: Data, fold: FoldData, folder: Path, manifest: Manifest, *, resume: bool, say: Say
) -> None:
    """Train a fold into `folder`: best.pt, its out-of-fold predictions oof.npz, metrics.csv, last.pt to go on from.

    With `resume` it goes on after the last whole epoch, to the same weights as without the interruption.
    """
    spec = manifest.frontend
    assert spec is not None
    device = choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    seed_everything(settings.seed, fold.number + 1)

    called = f"fold {fold.number}" if fold.held_out else "full"
    arguments = ModelArguments(
        len(data.labels), settings.arch, input_pool=settings.input_pool, input_pool_time=settings.input_pool_time
    )
    network = build_network(
        arguments,
        drop_rate=settings.drop_rate,
        drop_path_rate=settings.drop_path_rate,
        pretrained=settings.pretrained,
    )
    if settings.head_prior > 0:
        start_head(network, settings.head_prior)
    if settings.init:
        for line in load_initial(network, Path(settings.init), codes=data.codes):
            say(line)
    if data.teacher is not None:
        put_teacher_head(network, data.teacher, prior=settings.head_prior)
    # oneDNN's and cuDNN's convolutions are up to twice as fast with the channels last.
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = copy.deepcopy(network).eval().requires_grad_(False) if settings.ema else None
    judged = network if averaged is None else averaged
    run: Callable[[torch.Tensor], Any] = torch.compile(network) if settings.compile else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    half = torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
    amp = settings.amp and device.type == "cuda"
    scaler = torch.amp.GradScaler(device.type, enabled=amp and half == torch.float16)

    windows = Windows(
        data.sources,
        spec,
        len(data.labels),
        settings=settings,
        fold=fold.number,
        backgrounds=data.backgrounds,
        pseudo=data.pseudo,
        teacher=data.teacher,
        varied=data.varied,
    )
    kept_out = frozenset(data.sources[number].filename for number in fold.held_out)
    varied = None
    if data.varied is not None:
        varied = data.varied.without(kept_out)
        if not len(varied):
            raise ConfigError(
                f"{called}: each of the {len(data.varied)} varied sounds holds a recording that is held out; make more"
            )
        left_out = "; the others hold recordings that are held out" if len(varied) < len(data.varied) else ""
        say(f"{called}: learns from {len(varied)} of the varied sounds{left_out}")
    held_out = regular_draws(data.sources, fold.held_out, settings.window_hop_s, spec)
    plain = Windows(data.sources, spec, len(data.labels), settings=settings, fold=fold.number)

    def validate() -> Predictions:
        return score_windows(
            judged.eval(),
            plain,
            held_out,
            batch_size=settings.batch_size,
            pool=arguments.pool,
            device=device,
            workers=settings.workers,
        )

    def save(path: Path, metrics: Mapping[str, float | None]) -> None:
        lasting = {name: value for name, value in metrics.items() if name not in ("windows_per_s", "waiting_share")}
        config = asdict(settings) | {"fold": str(fold.number) if fold.held_out else "none"}
        save_checkpoint(path, Checkpoint(plain_state(judged), arguments, manifest, lasting, config))

    state_path = folder / "last.pt"
    identity = {"settings": kept_settings(settings), "data": data.fingerprint, "soft": data.soft_labels}
    history: list[dict[str, float | None]] = []
    total: dict[str, Any] = {}  # the sum of the last epochs' weights, for average.pt
    best: float = -math.inf
    if resume and state_path.exists():
        state = load_tensors(state_path)
        require_same(state["identity"], identity, state_path)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        if averaged is not None:
            averaged.load_state_dict(state["averaged"])
        history, total, best = state["history"], state["total"], state["best"]
        say(f"{called}: goes on after epoch {len(history)} of {settings.epochs}")

    last = settings.stop_epoch or settings.epochs
    for epoch in range(len(history), last):
        # Seeded anew each epoch, so that a resumed run draws what an uninterrupted one does.
        seed_everything(settings.seed, fold.number + 1, epoch)
        rng = np.random.default_rng((settings.seed, fold.number + 1, epoch, 1))
        draws = epoch_draws(data.sources, fold.train, settings, spec, fold=fold.number, epoch=epoch, varied=varied)
        loader = load_batches(windows, draws, settings, device)
        steps = len(loader)
        network.train()
        losses, waited_s, began_s = 0.0, 0.0, time.perf_counter()
        for step, (batch, wait_s) in enumerate(timed(loader)):
            waited_s += wait_s
            batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
            shown = network_input(batch, settings, spec, rng)
            images = pool_input(shown.images, arguments.pool).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, half, enabled=amp):
                answer = run(images)
            logits, embedding = (answer, None) if data.teacher is None else answer
            loss = masked_bce(logits.float(), shown.targets, shown.weights)
            if embedding is not None and shown.embeddings is not None and shown.embedding_weights is not None:
                apart = embedding_loss(embedding.float(), shown.embeddings, shown.embedding_weights)
                loss = loss + settings.teacher_weight * apart
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(not_finite(value, epoch, step, batch, draws, windows))
            rate = learning_rate(settings, epoch + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if settings.clip_grad > 0:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip_grad)
            scaler.step(optimizer)
            scaler.update()
            if averaged is not None:
                move_average(averaged, network, settings.ema, epoch * steps + step)
            losses += value * len(images)
        taken_s = time.perf_counter() - began_s

        metrics: dict[str, float | None] = {"epoch": epoch + 1, "loss": losses / len(draws)}
        predictions = validate() if fold.held_out else None
        if predictions is not None:
            metrics |= judge(predictions, data.sources)
        metrics |= {
            "lr": learning_rate(settings, epoch),
            "windows_per_s": len(draws) / taken_s,
            "waiting_share": waited_s / taken_s,
        }
        history.append(metrics)
        say(f"{called} " + epoch_line(metrics, last))

        if epoch >= last - settings.average_last:
            for name, tensor in judged.state_dict().items():
                total[name] = total.get(name, 0.0) + tensor.double()
        score = metrics.get(SELECTED_BY)
        if settings.select == "last" or score is None:
            score = float(epoch)
        if score > best:
            best = score
            save(folder / "best.pt", metrics)
            if predictions is not None:
                save_predictions(folder / "oof.npz", predictions, [item.filename for item in data.sources])
        save_tensors(
            state_path,
            {
                "identity": identity,
                "network": network.state_dict(),
                "averaged": averaged.state_dict() if averaged is not None else {},
                "optimizer": optimizer.state_dict(),
                "scaler": scaler.state_dict(),
                "total": total,
                "history": history,
                "best": best,
            },
        )
        write_table(folder / "metrics.csv", history)

    if total and not (folder / "average.pt").exists():
        mean = {name: (tensor / settings.average_last).to(network.state_dict()[name]) for name, tensor in total.items()}
        judged.load_state_dict(mean)
        metrics = {"epoch": last}
        if fold.held_out:
            metrics |= judge(validate(), data.sources)
            say(f"{called} average of the last {settings.average_last} epochs: " + epoch_line(metrics, None))
        save(folder / "average.pt", metrics)


def load_batches(windows: Windows, draws: list[Draw], settings: Settings, device: torch.device) -> DataLoader[Batch]:
    """The epoch's batches, the last one as small as it comes; a loader with `workers` processes that read ahead."""
    size = settings.batch_size
    batches = [draws[i : i + size] for i in range(0, len(draws), size)]
    # A batch of one has no variance for the batch normalisation to divide by.
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2] += batches.pop()
    return DataLoader(
        windows,
        batch_sampler=batches,
        num_workers=settings.workers,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if settings.workers else None,
    )


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that were spent waiting for it."""
    iterator = iter(batches)
    while True:
        began_s = time.perf_counter()
        batch = next(iterator, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began_s


def kept_settings(settings: Settings) -> dict[str, Any]:
    """The settings that decide the result; a run may be gone on with on another device or from another folder."""
    return {name: value for name, value in asdict(settings).items() if name not in RUNTIME}


def require_same(found: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Raise ConfigError, naming what differs, if a state is not of this run."""
    # What a state of an older version does not know is compared with its default.
    defaults = kept_settings(Settings())
    before, after = (
        defaults | side["settings"] | {"the data": side["data"], "the soft labels": side.get("soft", now["soft"])}
        for side in (found, now)
    )
    differing = [
        f"{name} was {before.get(name)!r}, is {after.get(name)!r}" for name in after if before.get(name) != after[name]
    ]
    if differing:
        raise ConfigError(
            f"{path} is of another run: {'; '.join(differing)}; go on with the same settings, or use another --out"
        )


def not_finite(value: float, epoch: int, step: int, batch: Batch, draws: list[Draw], windows: Windows) -> str:
    """Which batch made the loss what it is."""
    names = []
    for position, mel in zip(batch["position"].tolist(), batch["mel"], strict=True):
        number = draws[position].source
        name = {NOISE: "background", VARIED: "a varied sound"}.get(number) or windows.sources[number].filename
        names.append(name + ("" if torch.isfinite(mel).all() else " (its mel spectrogram is not finite)"))
    return (
        f"the loss is {value} in epoch {epoch + 1}, batch {step + 1}, which holds {', '.join(names)}; "
        "look at these files, lower --lr, or set --clip-grad 1"
    )

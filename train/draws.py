"""Which windows are sampled in an epoch of training, and for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from birdwatch.model.frontend import FrontendSpec

from .cache import GRID
from .settings import Settings
from .windows import NOISE, VARIED, Draw, Source

__all__ = ["class_shares", "epoch_draws", "regular_draws", "turns_of"]


def regular_draws(sources: Sequence[Source], numbers: Sequence[int], hop_s: float, spec: FrontendSpec) -> list[Draw]:
    """Every window at multiples of `hop_s` (to the cache's 0.128 s) of the given sources, and the last one."""
    step = hop_s * spec.rate_hz / (GRID * spec.hop_frames)
    draws: list[Draw] = []
    for number in numbers:
        last = sources[number].starts - 1
        starts = [round(k * step) for k in range(int(last / step) + 1)]
        if last - starts[-1] > step / 2:
            starts.append(last)
        draws += [Draw(0, len(draws) + i, number, min(start, last)) for i, start in enumerate(starts)]
    return draws


def epoch_draws(
    sources: Sequence[Source],
    numbers: Sequence[int],
    settings: Settings,
    spec: FrontendSpec,
    *,
    fold: int,
    epoch: int,
    varied: npt.NDArray[np.int64] | None = None,
) -> list[Draw]:
    """The windows of an epoch, shuffled: of the sources with these `numbers`, background alone, and varied sounds.

    Sources without labels are the negatives; those and the background take their share beside the labelled ones.
    varied: numbers of the varied sounds to learn from, which take their share of it all, each once before any again.
    """
    rng = np.random.default_rng((settings.seed, fold + 1, epoch))
    labelled = [number for number in numbers if sources[number].labels]
    negative = [number for number in numbers if not sources[number].labels]
    negative_share = settings.negative_share if negative else 0.0
    noise_share = settings.noise_share if settings.background else 0.0
    rest = 1.0 - negative_share - noise_share
    pool: list[tuple[int, int | None]] = [(number, None) for number in labelled]
    if settings.clip == "all":
        pool = [(draw.source, draw.start) for draw in regular_draws(sources, labelled, settings.window_hop_s, spec)]
    wanted = settings.epoch_windows or round(len(pool) / rest)
    of_varied = 0 if varied is None else round(wanted * settings.varied_share)
    # At least one: an epoch of so few windows that their share rounds to none has recordings all the same.
    count = max(1, round((wanted - of_varied) * rest))
    if settings.sample_by == "each":
        turns = [rng.permutation(len(pool)) for _ in range(-(-count // len(pool)))]
        drawn = [pool[i] for i in np.concatenate(turns)[:count]]
    else:
        shares = class_shares(sources, [number for number, _ in pool], settings, count)
        drawn = [pool[i] for i in rng.choice(len(pool), count, p=shares)]
    if negative:
        drawn += [(negative[i], None) for i in rng.integers(len(negative), size=round(count * negative_share / rest))]
    drawn += [(NOISE, None)] * round(count * noise_share / rest)
    if varied is not None:
        drawn += [(VARIED, number) for number in turns_of(varied, of_varied, epoch, (settings.seed, fold + 1))]
    order = rng.permutation(len(drawn))
    return [Draw(epoch, position, *drawn[i]) for position, i in enumerate(order)]


def turns_of(numbers: npt.NDArray[np.int64], count: int, epoch: int, seed: tuple[int, ...]) -> list[int]:
    """An epoch's `count` of `numbers`, shuffled anew in each turn; where one epoch ends the next continues."""
    first, last = epoch * count, (epoch + 1) * count
    turns = range(first // len(numbers), -(-last // len(numbers)))
    shuffled = np.concatenate([np.random.default_rng((*seed, 3, turn)).permutation(numbers) for turn in turns])
    offset = first - turns[0] * len(numbers)
    return [int(number) for number in shuffled[offset : offset + count]]


def class_shares(
    sources: Sequence[Source], numbers: Sequence[int], settings: Settings, count: int
) -> npt.NDArray[np.float64]:
    """The chance of each entry of `numbers` `(entries,)` when sampling by class.

    A class's share is its recordings, or their duration, to the power `sample_exponent`, but at least `sample_floor`
    windows of the epoch's `count`; within a class the recordings share by the same power.
    """
    amount = np.ones(len(numbers))
    if settings.sample_by == "duration":
        amount = np.array([sources[number].starts for number in numbers], np.float64)
    labels = np.array([sources[number].labels[0] for number in numbers])
    of_class = np.bincount(labels, amount)
    share = np.where(of_class > 0, of_class, 1.0) ** settings.sample_exponent * (of_class > 0)
    share /= share.sum()
    floor = min(settings.sample_floor / count, 1.0 / np.count_nonzero(of_class))
    raised = (of_class > 0) & (share < floor)
    while raised.any():  # the other classes lose what the rare ones gain, which may make another one rare
        left = 1.0 - floor * raised.sum()
        share = np.where(raised, floor, share * left / max(share[~raised].sum(), 1e-12))
        more = raised | ((of_class > 0) & (share < floor * (1 - 1e-9)))
        if (more == raised).all():
            break
        raised = more
    within = amount**settings.sample_exponent
    shares = share[labels] * within / np.bincount(labels, within)[labels]
    extra = np.array([sources[number].extra for number in numbers])
    if settings.extra_share > 0 and extra.any() and not extra.all():
        shares[extra] *= settings.extra_share / shares[extra].sum()
        shares[~extra] *= (1.0 - settings.extra_share) / shares[~extra].sum()
    return np.asarray(shares)

"""Which windows an epoch draws, and in what shares."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from birdwatch.model.frontend import FrontendSpec
from train.draws import class_shares, epoch_draws, regular_draws, turns_of
from train.settings import Settings
from train.windows import NOISE, VARIED, Source

SPEC = FrontendSpec()


def plain(starts: int, *labels: int) -> Source:
    return Source(Path(), f"{starts}", starts, labels)


def test_regular_windows_cover_the_recording_at_the_hop() -> None:
    draws = regular_draws([plain(1, 0), plain(100, 0), plain(118, 0)], [0, 2], 5.0, SPEC)
    assert [(draw.source, draw.start) for draw in draws] == [(0, 0), (2, 0), (2, 39), (2, 78), (2, 117)]
    assert [draw.position for draw in draws] == [0, 1, 2, 3, 4]


def test_each_recording_comes_once_an_epoch_in_a_new_order() -> None:
    sources = [plain(10, 0) for _ in range(20)]
    settings = Settings()
    epochs = [epoch_draws(sources, range(20), settings, SPEC, fold=0, epoch=e) for e in (0, 1)]
    for draws in epochs:
        assert sorted(draw.source for draw in draws) == list(range(20))
        assert [draw.position for draw in draws] == list(range(20))
        assert all(draw.start is None for draw in draws)
    assert [d.source for d in epochs[0]] != [d.source for d in epochs[1]]
    assert epochs[0] == epoch_draws(sources, range(20), settings, SPEC, fold=0, epoch=0)
    assert len(epoch_draws(sources, range(20), Settings(epoch_windows=50), SPEC, fold=0, epoch=0)) == 50
    assert len(epoch_draws(sources, range(20), Settings(epoch_windows=5), SPEC, fold=0, epoch=0)) == 5


def test_clip_all_takes_every_window() -> None:
    sources = [plain(118, 0), plain(1, 1)]
    draws = epoch_draws(sources, range(2), Settings(clip="all"), SPEC, fold=0, epoch=0)
    assert sorted((d.source, d.start) for d in draws) == [(0, 0), (0, 39), (0, 78), (0, 117), (1, 0)]


def test_negatives_and_noise_take_their_share() -> None:
    sources = [plain(10, 0) for _ in range(30)] + [plain(10) for _ in range(5)]
    settings = Settings(negative_share=0.2, noise_share=0.1, background="rain", epoch_windows=1000)
    draws = epoch_draws(sources, range(35), settings, SPEC, fold=0, epoch=0)
    kinds = np.array([draw.source for draw in draws])
    assert len(draws) == 1000
    assert (kinds == NOISE).sum() == 100
    assert (kinds >= 30).sum() == 200
    without = epoch_draws(sources[:30], range(30), Settings(noise_share=0.1), SPEC, fold=0, epoch=0)
    assert len(without) == 30, "no background, no negatives: nothing takes a share"


def test_classes_are_drawn_by_a_power_of_their_count_or_duration() -> None:
    sources = [plain(100, 0)] * 16 + [plain(25, 1)] * 4
    by_count = class_shares(sources, range(20), Settings(sample_by="count", sample_exponent=0.5), 100)
    assert by_count.sum() == pytest.approx(1.0)
    assert by_count[:16].sum() / by_count[16:].sum() == pytest.approx(2.0)
    by_duration = class_shares(sources, range(20), Settings(sample_by="duration", sample_exponent=0.5), 100)
    assert by_duration[:16].sum() / by_duration[16:].sum() == pytest.approx(4.0)
    even = class_shares(sources, range(20), Settings(sample_by="count", sample_exponent=0.0), 100)
    assert even[:16].sum() == pytest.approx(0.5)


def test_rare_classes_have_a_floor() -> None:
    sources = [plain(10, 0)] * 97 + [plain(10, 1)] * 2 + [plain(10, 2)]
    settings = Settings(sample_by="count", sample_exponent=1.0, sample_floor=10.0)
    shares = class_shares(sources, range(100), settings, 100)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[97:99].sum() == pytest.approx(0.1)
    assert shares[99] == pytest.approx(0.1)
    assert shares[:97].sum() == pytest.approx(0.8)
    crowded = class_shares(sources, range(100), Settings(sample_by="count", sample_floor=90.0), 100)
    assert crowded[99] == pytest.approx(1 / 3), "a floor that nobody can meet makes the classes equal"


def test_each_varied_sound_comes_once_before_any_comes_again() -> None:
    numbers = np.array([3, 5, 8, 9, 11])
    drawn = [turns_of(numbers, 3, epoch, (7, 1)) for epoch in range(10)]
    assert all(len(one) == 3 for one in drawn)
    together = [number for one in drawn for number in one]
    for turn in range(6):
        assert sorted(together[5 * turn : 5 * turn + 5]) == numbers.tolist()
    assert len({tuple(together[5 * turn : 5 * turn + 5]) for turn in range(6)}) > 1
    assert turns_of(numbers, 12, 1, (7, 1)) == [turns_of(numbers, 1, k, (7, 1))[0] for k in range(12, 24)]


def test_varied_sounds_take_their_share_of_the_epoch_beside_the_rest() -> None:
    sources = [plain(10, number % 3) for number in range(20)]
    settings = Settings(epoch_windows=200, background="noises", noise_share=0.1, varied_share=0.6)
    numbers = np.array([4, 6, 7])
    draws = epoch_draws(sources, range(20), settings, SPEC, fold=0, epoch=0, varied=numbers)
    assert [draw.position for draw in draws] == list(range(200))
    varied = [draw.start for draw in draws if draw.source == VARIED]
    assert sorted(varied) == sorted([4, 6, 7] * 40)
    assert sum(draw.source == NOISE for draw in draws) == 8
    assert sum(draw.source >= 0 for draw in draws) == 72
    few = replace(settings, epoch_windows=2, varied_share=0.9)
    both = epoch_draws(sources, range(20), few, SPEC, fold=0, epoch=0, varied=numbers)
    assert {draw.source >= 0 for draw in both} == {True, False}
    assert not any(draw.source == VARIED for draw in epoch_draws(sources, range(20), settings, SPEC, fold=0, epoch=0))

from pathlib import Path

import numpy as np
import pytest
import torch

from birdwatch.model.frontend import FrontendSpec, mel_power
from train.cache import GRID, stored_mels
from train.settings import Settings
from train.soft_labels import Spans
from train.windows import NOISE, Draw, Source, Windows, activity, source

SPEC = FrontendSpec()
GRID_S = GRID * SPEC.hop_frames / SPEC.rate_hz


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """Twenty seconds of noise, with a loud chirp from 12 s to 13 s."""
    rng = np.random.default_rng(0)
    samples = (0.01 * rng.standard_normal(20 * SPEC.rate_hz)).astype(np.float32)
    t = np.arange(SPEC.rate_hz) / SPEC.rate_hz
    samples[12 * SPEC.rate_hz : 13 * SPEC.rate_hz] += 0.5 * np.sin(2 * np.pi * 3000 * t).astype(np.float32)
    return samples


@pytest.fixture(scope="module")
def array(song: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arrays") / "song.npy"
    np.save(path, stored_mels(song, SPEC))
    return path


def windows(sources: list[Source], **settings: object) -> Windows:
    return Windows(sources, SPEC, 3, settings=Settings(**settings), fold=0)  # type: ignore[arg-type]


def starts_of(loader: Windows, array: Path, count: int = 60) -> np.ndarray:
    """Which starts a source's draws take, found by comparing their mels with every window."""
    rows = np.load(array)
    last = SPEC.spectra - 1
    wanted = {rows[s * GRID + 1].tobytes(): s for s in range(loader.sources[0].starts)}
    assert last > 1
    return np.array([wanted[loader[Draw(0, i, 0, None)]["mel"][1].numpy().tobytes()] for i in range(count)])


def test_a_draw_is_the_front_ends_window_with_its_targets(array: Path, song: np.ndarray) -> None:
    item = source(array, "song.ogg", SPEC, labels=(2, 0), masked=(1,))
    assert item.starts == (len(song) - SPEC.window_frames) // (GRID * SPEC.hop_frames) + 1
    loaded = windows([item])[Draw(3, 7, 0, 11)]
    first = 11 * GRID * SPEC.hop_frames
    expected = mel_power(song[None, first : first + SPEC.window_frames], SPEC)[0].T
    np.testing.assert_allclose(loaded["mel"].numpy(), expected, rtol=1e-4, atol=1e-7 * expected.max())
    assert loaded["target"].tolist() == [1.0, 0.0, 1.0]
    assert loaded["weight"].tolist() == [1.0, 0.0, 1.0]
    assert loaded["position"] == 7


def test_a_draw_depends_on_its_seed_alone(array: Path) -> None:
    item = source(array, "song.ogg", SPEC, labels=(0,))
    first, second = windows([item], clip="random"), windows([item], clip="random")
    second[Draw(0, 1, 0, None)]
    draws = [Draw(2, i, 0, None) for i in range(8)]
    loaded = [first[draw]["mel"] for draw in draws]
    assert (
        all(torch.equal(mel, second[draw]["mel"]) for mel, draw in zip(loaded, reversed(draws), strict=True)) is False
    )
    assert all(torch.equal(mel, second[draw]["mel"]) for mel, draw in zip(loaded, draws, strict=True))
    assert len({mel.numpy().tobytes() for mel in loaded}) > 4
    other_epoch = first[Draw(3, 0, 0, None)]["mel"]
    assert not torch.equal(other_epoch, loaded[0])


def test_each_clip_takes_its_windows(array: Path) -> None:
    item = source(array, "song.ogg", SPEC, labels=(0,))
    labelled = Spans(np.array([2.0]), np.array([4.0]), np.array([0]), np.array([1.0], np.float32))
    taught = source(array, "song.ogg", SPEC, labels=(0,), spans=labelled)
    assert set(starts_of(windows([item], clip="center"), array, 5)) == {item.starts // 2}
    random = starts_of(windows([item], clip="random"), array)
    assert random.min() < 0.2 * item.starts
    assert random.max() > 0.8 * item.starts
    energy = starts_of(windows([item], clip="energy"), array) * GRID_S
    assert ((energy > 7.0) & (energy < 13.0)).mean() > 0.85, "the chirp at 12 to 13 s is in the window"
    followed = starts_of(windows([taught], clip="labelled", soft_labels="t.csv"), array) * GRID_S
    assert (followed <= 3.0).mean() > 0.6, "half of 2 to 4 s is in the window"


def test_steady_noise_has_the_same_activity_everywhere() -> None:
    rng = np.random.default_rng(0)
    rows = stored_mels((0.1 * rng.standard_normal(20 * SPEC.rate_hz)).astype(np.float32), SPEC)
    signal = activity(rows, 50, SPEC)
    assert signal.min() > 0.5 * signal.max()


def test_soft_labels_decide_with_a_floor_for_the_primary_one(array: Path) -> None:
    spans = Spans(np.array([0.0, 0.0]), np.array([5.0, 5.0]), np.array([0, 1]), np.array([0.1, 0.6], np.float32))
    item = source(array, "song.ogg", SPEC, labels=(0, 2), spans=spans)
    loaded = windows([item], primary_floor=0.3)[Draw(0, 0, 0, 0)]
    np.testing.assert_allclose(loaded["target"], [0.3, 0.6, 0.0], rtol=1e-6)
    late = windows([item])[Draw(0, 0, 0, item.starts - 1)]
    np.testing.assert_allclose(late["target"], [0.0, 0.0, 0.0])


def test_sure_soundscapes_are_drawn_in_proportion(array: Path) -> None:
    item = source(array, "song.ogg", SPEC, labels=(0,))
    # Of each window the surest class counts: 0.9 and 0.3 of one soundscape, 0.2 of the other. 0.6 to 0.2.
    start = np.array([0.0, 0.0, 5.0])
    sure = Spans(start, start + 5.0, np.array([0, 1, 1]), np.array([0.9, 0.5, 0.3], np.float32))
    unsure = Spans(np.array([0.0]), np.array([20.0]), np.array([2]), np.array([0.2], np.float32))
    scapes = [source(array, name, SPEC, spans=spans) for name, spans in (("a", sure), ("b", unsure))]
    loader = Windows([item], SPEC, 3, settings=Settings(pseudo_prob=1.0), fold=0, pseudo=scapes)
    np.testing.assert_allclose(loader.pseudo_share, [0.75, 0.25], atol=1e-4)
    second = sum(bool(loader[Draw(0, i, 0, None)]["pseudo_target"][2]) for i in range(200))
    assert 30 <= second <= 70, "a quarter of 200, and four standard deviations"


def test_noise_background_and_pseudo_labels_come_with_a_draw(array: Path) -> None:
    item = source(array, "song.ogg", SPEC, labels=(0,))
    spans = Spans(np.array([0.0]), np.array([20.0]), np.array([2]), np.array([0.8], np.float32))
    scape = source(array, "scape.ogg", SPEC, spans=spans)
    settings = Settings(background_prob=0.5, pseudo_prob=0.5)
    loader = Windows([item], SPEC, 3, settings=settings, fold=0, backgrounds=[item], pseudo=[scape])
    loaded = [loader[Draw(0, i, 0, None)] for i in range(40)]
    under = [bool(one["background"].any()) for one in loaded]
    mixed = [bool(one["pseudo"].any()) for one in loaded]
    assert 10 <= sum(under) <= 30
    assert 10 <= sum(mixed) <= 30
    for one, found in zip(loaded, mixed, strict=True):
        np.testing.assert_allclose(one["pseudo_target"], [0, 0, 0.8 if found else 0], rtol=1e-6)
    alone = loader[Draw(0, 0, NOISE, None)]
    assert alone["mel"].any()
    assert not alone["target"].any()
    assert not alone["background"].any()

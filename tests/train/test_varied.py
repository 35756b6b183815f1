"""The folder of varied sounds: what is written is read, targets by a slow loop, and only what fits is taken."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from birdwatch.errors import ConfigError
from birdwatch.model.frontend import FrontendSpec
from train.soft_labels import LABEL_ODDS
from train.teacher import Teacher
from train.varied import NOTE, Ingredient, Varied, read_varied, write_part

SPEC = FrontendSpec()
CODES = ("a", "b", "new", "c")
SIZE, WINDOWS = 6, 2


def teacher(size: int = SIZE) -> Teacher:
    """One that knows all classes but the third."""
    rng = np.random.default_rng(4)
    known = np.array([True, True, False, True])
    weight = np.where(known[:, None], rng.normal(size=(4, size)), 0.0).astype(np.float32)
    mean, spread = np.zeros(size, np.float32), np.ones(size, np.float32)
    return Teacher({}, weight, np.where(known, -0.5, 0.0).astype(np.float32), known, mean, spread)


def sung(filename: str, label: str, floor: float = 0.0) -> Ingredient:
    return Ingredient(filename, label, 1.0, True, floor)


def played(filename: str, label: str) -> Ingredient:
    return Ingredient(filename, label, 1.2, False)


MADE_OF = [
    (sung("1.ogg", "a"),),
    (sung("1.ogg", "a"), played("2.ogg", "b")),
    (),
    (sung("3.ogg", "new", 0.6), sung("2.ogg", "b", 0.9)),
    (played("3.ogg", "new"), sung("4.ogg", "elsewhere")),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five sounds in parts of three and two."""
    rng = np.random.default_rng(5)
    for part, (first, last) in enumerate([(0, 3), (3, 5)]):
        power = 10 ** rng.uniform(-12, 4, (last - first, SPEC.n_mels, SPEC.spectra))
        embeddings = rng.normal(size=(last - first, WINDOWS, SIZE))
        write_part(tmp_path, part, power.astype(np.float32), embeddings.astype(np.float32), MADE_OF[first:last])
        np.save(tmp_path.parent / f"power{part}.npy", power)
        np.save(tmp_path.parent / f"embeddings{part}.npy", embeddings)
    (tmp_path / NOTE).write_text(json.dumps({"frontend": SPEC.fingerprint, "parts": 2}))
    return tmp_path


def opened(folder: Path) -> Varied:
    return read_varied(folder, SPEC, teacher(), CODES)


def kept(folder: Path, name: str) -> np.ndarray:
    return np.concatenate([np.load(folder.parent / f"{name}{part}.npy") for part in (0, 1)])


def test_mels_and_embeddings_are_read_as_they_were_written(folder: Path) -> None:
    varied, power, embeddings = opened(folder), kept(folder, "power"), kept(folder, "embeddings")
    assert len(varied) == 5
    assert varied.made_of == MADE_OF
    # Another process that loads windows gets it, too.
    for one in (varied, pickle.loads(pickle.dumps(varied))):
        for number in range(5):
            mel = one.mel(number)
            assert (mel.dtype, mel.shape) == (np.float32, (SPEC.spectra, SPEC.n_mels))
            apart_db = 10 * np.log10(mel.T) - 10 * np.log10(np.maximum(power[number], 1e-10))
            assert np.abs(apart_db).max() < 0.04
            np.testing.assert_allclose(one.embedding(number), embeddings[number].mean(axis=0), atol=2e-3)


def test_targets_are_the_most_of_the_teacher_s_windows_by_a_slow_loop(folder: Path) -> None:
    varied, embeddings, known = opened(folder), kept(folder, "embeddings"), teacher()
    for number, ingredients in enumerate(MADE_OF):
        target = varied.target(number)
        assert target.dtype == np.float32
        for index, code in enumerate(CODES):
            best = 0.0
            for window in embeddings[number]:
                logit = sum(float(w) * float(x) for w, x in zip(known.weight[index], window, strict=True))
                p = 1 / (1 + np.exp(-(logit + float(known.bias[index]))))
                best = max(best, p if known.known[index] else 0.0)
            here = [item for item in ingredients if item.label == code and item.natural]
            if here:
                best = LABEL_ODDS * best / (LABEL_ODDS * best + 1 - best)
                best = max(best, here[0].floor)
            assert target[index] == pytest.approx(best, abs=3e-3)


def test_a_fold_learns_from_no_sound_with_a_recording_that_it_holds_out(folder: Path) -> None:
    varied = opened(folder)
    assert varied.without(frozenset()).tolist() == [0, 1, 2, 3, 4]
    assert varied.without(frozenset({"2.ogg"})).tolist() == [0, 2, 4]
    assert varied.without(frozenset({"1.ogg", "3.ogg"})).tolist() == [2]


def test_what_does_not_fit_is_refused_in_one_line(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ConfigError, match="embeddings of 6 numbers, the teacher's have 7"):
        read_varied(folder, SPEC, teacher(7), CODES)
    with pytest.raises(ConfigError, match="made for another front end"):
        read_varied(folder, FrontendSpec(n_mels=64), teacher(), CODES)
    (folder / "0001.json").rename(folder / "kept")
    with pytest.raises(ConfigError, match="holds 1 of 2 parts; go on with the same `train vary` command"):
        opened(folder)
    (folder / "0001.json").write_text('[[{"file": "a"}]]')
    with pytest.raises(ConfigError, match="is not a folder of `train vary`"):
        opened(folder)
    with pytest.raises(ConfigError, match="no varied sounds in"):
        opened(tmp_path_factory.mktemp("empty"))
    (folder / NOTE).write_text("{")
    with pytest.raises(ConfigError, match="is not a folder of `train vary`"):
        opened(folder)

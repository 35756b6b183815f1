"""A card's figures: who counts as unseen, intervals, thresholds, false alarms, and the tables that say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tiny_model import LABELS, write_tiny_model

from birdwatch.api import analyze, load_model
from birdwatch.errors import ConfigError
from train.card import Scored, alarms, figures, held_out, interval, macro_auc, score_all, unseen_recordists
from train.card_run import CardOptions, write_card
from train.card_text import credits, fill
from train.dataset import Recording


def recording(name: str, label: str = "", author: str = "", collection: str = "") -> Recording:
    return Recording(name, Path(name), label, (), author, collection)


def scored(n: int = 60, classes: int = 4, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    scores = rng.random((n, classes)) * 0.7
    scores[np.arange(n), truth] += 0.3
    items = tuple(recording(f"{i}.ogg", str(t), f"a{i % 9}") for i, t in enumerate(truth.tolist()))
    return Scored(items, scores.astype(np.float32), truth, np.full(n, 20.0))


def test_unseen_are_held_out_species_with_other_recordists_in_training() -> None:
    items = [
        recording("1", "a", "Ann"),
        recording("2", "a", "Bob"),  # judged: Ann's a was trained on
        recording("3", "b", "Bob"),
        recording("4", "b", "Bob"),  # not: b was trained on by Bob himself
        recording("5", "c", "Cid"),  # not: c was never trained on
        recording("6", "a", ""),  # not: nobody knows by whom
    ]
    judged = np.array([False, True, False, True, True, True])
    assert unseen_recordists(items, judged).tolist() == [False, True, False, False, False, False]


def test_folds_are_read_and_a_recording_without_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("filename,fold\nx.ogg,0\ny.ogg,1\n")
    assert held_out(tmp_path / "folds.csv", 0, [recording("y.ogg"), recording("x.ogg")]).tolist() == [False, True]
    with pytest.raises(ConfigError, match=r"such as z\.ogg"):
        held_out(tmp_path / "folds.csv", 0, [recording("z.ogg")])
    with pytest.raises(ConfigError, match="no table"):
        held_out(tmp_path / "none.csv", 0, [])


def test_figures_are_scikit_learn_s_and_the_interval_holds_them() -> None:
    part = scored()
    found = figures(part, seed=1)
    expected = np.mean([roc_auc_score(part.truth == c, part.scores[:, c]) for c in range(4)])
    assert found["auc"] == pytest.approx(expected)
    assert found["top1"] == pytest.approx((part.scores.argmax(axis=1) == part.truth).mean())
    low, high = found["auc_interval"]
    assert low < expected < high < 1.0
    assert found["recordists"] == 9


def test_recordists_are_resampled_whole() -> None:
    # Two recordists, each with many equal recordings: every resample holds all or nothing of one.
    items = tuple(recording(str(i), "0", "one" if i < 50 else "two") for i in range(100))
    part = Scored(items, np.zeros((100, 2), np.float32), np.repeat([0, 1], 50), np.ones(100))
    seen = set()
    interval(part, lambda rows: seen.add(int((rows.truth == 0).sum())) or 0.0, seed=0, rounds=50)  # type: ignore[func-returns-value]
    assert seen == {0, 50, 100}


def test_false_alarms_an_hour_and_by_kind() -> None:
    items = tuple(recording(name) for name in ("rain.ogg", "dog.ogg", "dog2.ogg"))
    scores = np.array([[0.1, 0.2], [0.9, 0.8], [0.1, 0.7]], np.float32)
    part = Scored(items, scores, np.full(3, -1), np.full(3, 600.0))
    found = alarms(part, np.array([0.5, 0.75]), {"rain.ogg": "Rain", "dog.ogg": "Dog", "dog2.ogg": "Dog"})
    assert (found["alarms"], found["alarms_an_hour"]) == (2, pytest.approx(4.0))
    assert found["kinds"] == {
        "Dog": {"recordings": 2, "minutes": 20.0, "alarms": 2},
        "Rain": {"recordings": 1, "minutes": 10.0, "alarms": 0},
    }
    none = alarms(part, np.array([1.0, 1.0]), {})
    assert set(none["kinds"]) == {"rain", "dog", "dog2"}
    # The rule of three: nothing seen in half an hour leaves up to 3 / 0.5 an hour possible.
    assert none["alarms_an_hour_at_most"] == pytest.approx(-np.log(0.05) / 0.5)


def test_a_place_without_a_value_is_an_error() -> None:
    assert fill("a {{b}} c", {"b": "1"}) == "a 1 c"
    with pytest.raises(ConfigError, match="nowhere"):
        fill("{{nowhere}}", {"b": "1"})
    assert (
        credits([recording("1", author="B"), recording("2", author="A"), recording("3", author="A")]) == "A (2), B (1)"
    )


def test_a_card_from_a_model_and_recordings(tmp_path: Path, tiny_model: Path, song: NDArray[np.float32]) -> None:
    audio = tmp_path / "audio"
    sounds = tmp_path / "sounds"
    audio.mkdir()
    sounds.mkdir()
    codes = ("gretit1", "eurrob1", "eurbla")
    rng = np.random.default_rng(0)
    rows, folds = ["primary_label,filename,author,collection"], ["filename,fold"]
    for i in range(12):
        piece = np.roll(song, 32000 * i)[: 32000 * 6] * rng.random()
        sf.write(audio / f"{i}.wav", piece, 32000, subtype="FLOAT")
        rows.append(f"{codes[i % 3]},{i}.wav,{'Ann' if i < 6 else 'Bob'},{'one' if i % 2 else 'two'}")
        folds.append(f"{i}.wav,{int(i < 6)}")
    sf.write(sounds / "noise.wav", rng.normal(0, 0.1, 160000), 32000)
    (tmp_path / "train.csv").write_text("\n".join(rows))
    (tmp_path / "folds.csv").write_text("\n".join(folds))
    (tmp_path / "sounds.csv").write_text("filename,sound\nnoise.wav,Noise\n")
    (tmp_path / "template.md").write_text("{{figures}}\n{{alarms}}\n{{species}}\n{{credits}} {{threshold_common}}\n")
    options = CardOptions(
        model=tiny_model,
        folds=tmp_path / "folds.csv",
        data=tmp_path / "train.csv",
        audio_root=audio,
        background=tmp_path / "sounds.csv",
        background_root=sounds,
        template=tmp_path / "template.md",
        shipped=tiny_model,
        credit=("Teacher: Tiny",),
        out=tmp_path / "out",
    )
    said: list[str] = []
    summary = write_card(options, say=said.append)
    judged = [recording(f"{i}.wav", codes[i % 3], "Bob") for i in range(6, 12)]
    expected = np.array([analyze(audio / item.filename, load_model(tiny_model), 2.5).scores for item in judged])
    truth = np.array([codes.index(item.label) for item in judged])
    part = Scored(tuple(judged), expected, truth, np.ones(6))
    assert summary["out_of_fold"]["all"]["auc"] == pytest.approx(macro_auc(part))
    assert summary["out_of_fold"]["all"]["recordings"] == 6
    assert set(summary["out_of_fold"]) == {"all", "one", "two"}
    card = (tmp_path / "out" / "card.md").read_text("utf-8")
    assert "| Noise | 1 | 0.1 |" in card
    assert "Ann (6), Bob (6)" in card
    assert "{{" not in card
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["attribution"] == "Teacher: Tiny; recordings by the recordists of xeno-canto.org: Ann (6), Bob (6)"
    assert manifest["threshold"] == pytest.approx(summary["thresholds"]["common"])
    assert str(tmp_path / "out" / "card.md") in said[0]

    other = write_tiny_model(tmp_path / "other.onnx", labels=LABELS[:2])
    with pytest.raises(ConfigError, match="other labels"):
        write_card(replace(options, shipped=other), say=said.append)


def test_scores_are_the_daemon_s(tmp_path: Path, tiny_model: Path, song: NDArray[np.float32]) -> None:
    sf.write(tmp_path / "a.wav", song, 32000, subtype="FLOAT")
    model = load_model(tiny_model)
    part = score_all(model, [Recording("a.wav", tmp_path / "a.wav", "eurbla")], hop_s=2.5)
    np.testing.assert_array_equal(part.scores[0], analyze(tmp_path / "a.wav", model).scores)
    assert part.truth.tolist() == [2]
    assert part.seconds[0] == pytest.approx(len(song) / 32000)

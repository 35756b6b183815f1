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
from birdwatch.model.manifest import Label
from train.card import Scored, alarms, columns_of, common_threshold, figures, interval, score_all
from train.card_run import CardOptions, write_card
from train.card_text import credits, fill
from train.dataset import Recording
from train.soundscape_figures import Placed, read_placed, soundscape_figures


def recording(name: str, label: str = "", author: str = "", collection: str = "") -> Recording:
    return Recording(name, Path(name), label, (), author, collection)


def scored(n: int = 60, classes: int = 4, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    scores = rng.random((n, classes)) * 0.7
    scores[np.arange(n), truth] += 0.3
    items = tuple(recording(f"{i}.ogg", str(t), f"a{i % 9}") for i, t in enumerate(truth.tolist()))
    return Scored(items, scores.astype(np.float32), truth, np.full(n, 20.0))


def test_figures_are_scikit_learn_s_and_the_interval_holds_them() -> None:
    part = scored()
    found = figures(part, np.full(4, 0.5), seed=1)
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


def test_a_species_that_the_model_lacks_is_a_miss() -> None:
    part = scored()
    lacking = replace(part, truth=np.where(np.arange(60) < 15, -1, part.truth))
    found = figures(lacking, np.full(4, 0.5), seed=1)
    right = (part.scores.argmax(axis=1) == part.truth)[15:].sum()
    assert found["top1"] == pytest.approx(right / 60)
    reported = part.scores >= 0.5
    assert found["recall"] == pytest.approx(reported[np.arange(15, 60), part.truth[15:]].sum() / 60)
    assert found["precision"] == pytest.approx(reported[np.arange(15, 60), part.truth[15:]].sum() / reported.sum())


def test_the_common_threshold_reaches_its_precision_and_is_at_least_a_tenth() -> None:
    part = scored()
    right = part.truth_table
    reaching = [
        s for s in np.unique(part.scores) if (right & (part.scores >= s)).sum() / (part.scores >= s).sum() >= 0.8
    ]
    assert common_threshold(part, precision=0.8) == pytest.approx(min(reaching), abs=0.001)
    sure = replace(part, scores=part.truth_table.astype(np.float32) * np.float32(0.05))
    assert common_threshold(sure, precision=0.8) == 0.1


def test_columns_are_matched_by_scientific_name_else_by_code() -> None:
    ours = [Label("eurrob1", "Erithacus rubecula", "Robin"), Label("x", "", "X"), Label("y", "Nobody", "Y")]
    theirs = [Label("x", "Something else", ""), Label("Erithacus rubecula_Robin", "erithacus rubecula", "")]
    assert columns_of(ours, theirs) == {"eurrob1": 1, "x": 0}


def test_soundscapes_by_a_slow_count(tmp_path: Path, tiny_model: Path, song: NDArray[np.float32]) -> None:
    sf.write(tmp_path / "s.wav", song, 32000, subtype="FLOAT")
    model = load_model(tiny_model)
    limits = np.full(len(model.manifest.labels), 0.5)
    codes = model.manifest.codes
    placed = [Placed("s.wav", 0.0, 6.0, codes[0], -2.0), Placed("s.wav", 9.0, 12.0, codes[1], 12.0)]
    found = soundscape_figures(model, tmp_path, placed, limits)
    right = wrong = 0
    hits = [False, False]
    for window in analyze(tmp_path / "s.wav", model).windows:
        start = window.start_frame / 32000
        end = start + window.valid_frames / 32000
        for number, code in enumerate(codes):
            if window.scores[number] < 0.5:
                continue
            if any(p.code == code and p.start_s < end and p.end_s > start for p in placed):
                right += 1
            else:
                wrong += 1
            for i, p in enumerate(placed):
                if p.code == code and min(end, p.end_s) - max(start, p.start_s) >= 1.0:
                    hits[i] = True
    assert found["recall"] == sum(hits) / 2
    assert found["precision"] == right / max(right + wrong, 1)
    assert right + wrong > 0
    assert [row["birds"] for row in found["levels"]] == [1, 0, 0, 1, 0]
    assert found["hours"] == pytest.approx(len(song) / 32000 / 3600)


def test_a_table_of_soundscapes_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("filename,start_s\nx,later\n")
    with pytest.raises(ConfigError, match=r"truth\.csv is no table"):
        read_placed(tmp_path / "truth.csv")


def test_a_card_from_a_model_and_recordings(tmp_path: Path, tiny_model: Path, song: NDArray[np.float32]) -> None:
    audio, sounds, shapes = tmp_path / "audio", tmp_path / "sounds", tmp_path / "shapes"
    for folder in (audio, sounds, shapes):
        folder.mkdir()
    codes = ("gretit1", "eurrob1", "eurbla")
    rng = np.random.default_rng(0)
    tables: dict[str, list[str]] = {"trained": [], "held_out": [], "outside": []}
    for i in range(12):
        piece = np.roll(song, 32000 * i)[: 32000 * 6] * rng.random()
        sf.write(audio / f"{i}.wav", piece, 32000, subtype="FLOAT")
        table = list(tables)[i % 3]
        # The last is of a species that the model lacks.
        tables[table].append(f"{'lacking' if i == 11 else codes[i // 3 % 3]},{i}.wav,{'Ann' if i < 6 else 'Bob'}")
    for name, rows in tables.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["primary_label,filename,author", *rows]))
    sf.write(sounds / "noise.wav", rng.normal(0, 0.1, 160000), 32000)
    sf.write(shapes / "s.wav", song[: 32000 * 10], 32000)
    (shapes / "truth.csv").write_text("filename,start_s,end_s,primary_label,snr_db\ns.wav,1,4,gretit1,3\n")
    (tmp_path / "sounds.csv").write_text("filename,sound\nnoise.wav,Noise\n")
    (tmp_path / "template.md").write_text(
        "{{figures}}\n{{alarms}}\n{{species}}\n{{credits}}\n{{threshold}} {{reliability}}\n{{soundscapes}}"
    )
    options = CardOptions(
        model=tiny_model,
        trained=tmp_path / "trained.csv",
        held_out=tmp_path / "held_out.csv",
        outside=tmp_path / "outside.csv",
        audio_root=audio,
        background=tmp_path / "sounds.csv",
        background_root=sounds,
        template=tmp_path / "template.md",
        soundscapes=shapes,
        compare=(str(write_tiny_model(tmp_path / "other.onnx", labels=LABELS[:2])),),
        credit=("Teacher: Tiny",),
        out=tmp_path / "out",
    )
    said: list[str] = []
    summary = write_card(options, say=said.append)
    outside = summary["evaluated"]["built-in"]["outside"]
    assert (outside["recordings"], outside["lacking"]) == (4, 1)
    assert len(summary["evaluated"]) == 2
    card = (tmp_path / "out" / "card.md").read_text("utf-8")
    assert "| Noise | 1 | 0.1 |" in card
    assert "Ann (2), Bob (2)" in card
    assert "| 0 to 5 dB | 1 |" in card
    assert "{{" not in card
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["attribution"] == "Teacher: Tiny; recordings by the recordists of xeno-canto.org: Ann (2), Bob (2)"
    assert manifest["threshold"] == summary["threshold"] >= 0.1
    assert str(tmp_path / "out" / "card.md") in said[0]

    for table in ("held_out", "outside"):
        (tmp_path / f"{table}.csv").write_text("primary_label,filename,author\nlacking,11.wav,Bob\n")
    with pytest.raises(ConfigError, match="none of the species"):
        write_card(options, say=said.append)


def test_scores_are_the_daemon_s(tmp_path: Path, tiny_model: Path, song: NDArray[np.float32]) -> None:
    sf.write(tmp_path / "a.wav", song, 32000, subtype="FLOAT")
    model = load_model(tiny_model)
    part = score_all(model, [Recording("a.wav", tmp_path / "a.wav", "eurbla")], {"eurbla": 2}, hop_s=2.5)
    np.testing.assert_array_equal(part.scores[0], analyze(tmp_path / "a.wav", model).scores)
    assert part.truth.tolist() == [2]
    assert part.seconds[0] == pytest.approx(len(song) / 32000)


def test_the_built_in_model_s_template_has_places_only_in_braces() -> None:
    (template,) = (Path(__file__).parents[2] / "train" / "recipes").glob("birdwatch-*.md")
    assert [line for line in template.read_text("utf-8").splitlines() if line.isupper() and line.isalpha()] == []

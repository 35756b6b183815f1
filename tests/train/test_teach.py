"""A teacher's soft labels: columns matched by name, the label's odds, and a table that training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray
from tiny_model import LABELS

from birdwatch.api import analyze, load_model
from birdwatch.errors import ConfigError, SourceError
from birdwatch.model.manifest import Label
from train.dataset import Recording
from train.soft_labels import read_soft_labels
from train.teach import TeacherScores, TeachOptions, columns_of, read_labels, soft_rows, teach, teacher_scores

TEACHER = (Label("1", "Parus major"), Label("2", "Turdus merula"), Label("x9", "Corvus corax"))


def scored(*scores: list[float]) -> TeacherScores:
    start_s = np.arange(len(scores), dtype=np.float64)
    return TeacherScores(start_s, start_s + 3.0, np.array(scores, np.float32))


def test_columns_are_matched_by_scientific_name_else_by_code() -> None:
    classes = [Label("eurbla", "turdus MERULA"), Label("x9", "Another name"), Label("nobody", "Nomen nescio")]
    assert columns_of(classes, TEACHER) == {0: 1, 1: 2}


def test_a_teacher_of_other_things_is_refused() -> None:
    with pytest.raises(ConfigError, match="knows none of the 1 classes"):
        columns_of([Label("nobody", "Nomen nescio")], TEACHER)


def test_the_own_label_s_odds_rise_and_the_others_stay() -> None:
    labels = [Label("gretit1", "Parus major"), Label("eurbla", "Turdus merula")]
    rows = soft_rows(
        Recording("a.ogg", Path("a.ogg"), "eurbla"),
        scored([0.3, 0.5, 0.0], [0.001, 0.01, 0.9]),
        labels,
        columns_of(labels, TEACHER),
        TeachOptions(label_odds=9.0, floor=0.005),
    )
    assert list(rows) == [
        ("a.ogg", 0.0, 3.0, "gretit1", pytest.approx(0.3, abs=1e-4)),
        ("a.ogg", 0.0, 3.0, "eurbla", pytest.approx(0.9, abs=1e-4)),
        ("a.ogg", 1.0, 4.0, "eurbla", pytest.approx(0.09 / (0.09 + 0.99), abs=1e-4)),
    ]


@pytest.mark.parametrize("code", ["eurbla", "unknown1"])
def test_where_the_teacher_never_finds_the_label_it_counts_everywhere(code: str) -> None:
    labels = [Label("gretit1", "Parus major"), Label("eurbla", "Turdus merula"), Label("unknown1", "Nomen nescio")]
    rows = soft_rows(
        Recording("a.ogg", Path("a.ogg"), code),
        scored([0, 0.01, 0], [0, 0.0, 0]),
        labels,
        columns_of(labels, TEACHER),
    )
    assert [row[1:] for row in rows if row[3] == code] == [(0.0, 3.0, code, 0.6), (1.0, 4.0, code, 0.6)]


def test_labels_of_several_tables_come_once_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("primary_label,scientific_name\nb,B b\na,A a\n")
    (tmp_path / "b.csv").write_text("primary_label,scientific_name\nc,C c\nb,B b\nc,C c\n")
    assert [label.code for label in read_labels([tmp_path / "a.csv", tmp_path / "b.csv"])] == ["b", "a", "c"]


def test_the_table_holds_what_the_model_scores_and_training_reads_it(
    tmp_path: Path, tiny_model: Path, song: NDArray[np.float32]
) -> None:
    sf.write(tmp_path / "song.wav", song, 32000, subtype="FLOAT")
    out = tmp_path / "soft.csv"
    recording = Recording("gretit1/song.wav", tmp_path / "song.wav")
    rows, known, _ = teach(str(tiny_model), [recording], LABELS, out, TeachOptions(hop_s=1.0, floor=0.0))
    assert known == len(LABELS)
    scores = np.array([window.scores for window in analyze(recording.path, load_model(tiny_model), 1.0).windows])
    assert rows == scores.size
    spans = read_soft_labels(out, [label.code for label in LABELS]).spans["gretit1/song.wav"]
    table = np.zeros_like(scores)
    table[spans.start_s.astype(int), spans.label] = spans.score
    np.testing.assert_allclose(table, scores, atol=1.01e-4)
    # The last window is the padded tail: it speaks for the audio that is there.
    assert spans.end_s.max() == pytest.approx(len(song) / 32000)


def test_what_is_no_audio_is_named_and_leaves_no_table(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    out = tmp_path / "soft.csv"
    with pytest.raises(SourceError, match=r"text\.wav"):
        teach(str(tiny_model), [Recording("text.wav", tmp_path / "text.wav")], LABELS, out, TeachOptions())
    assert list(tmp_path.glob("soft*")) == []
    with pytest.raises(SourceError):
        teacher_scores(load_model(tiny_model), Recording("none.wav", tmp_path / "none.wav"), hop_s=1.0)

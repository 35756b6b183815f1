from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from birdwatch.errors import ConfigError
from train.soft_labels import read_soft_labels

CODES = ("robin", "wren", "NA")
HEADER = "filename,start_s,end_s,label,score\n"


def write(path: Path, rows: str) -> Path:
    path.write_text(HEADER + rows, "utf-8")
    return path


def test_a_window_takes_the_highest_score_that_overlaps_by_half(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv", "a.ogg,0,3,robin,0.2\na.ogg,3,6,robin,0.9\na.ogg,3,6,wren,0.4\na.ogg,0,60,NA,0.7\n"
    )
    spans = read_soft_labels(path, CODES).spans["a.ogg"]
    # Half of the span 3..6 is inside from 0.5 - 1 on: starts -0.5..4.5 with windows of 5 s.
    starts = np.array([0.0, 1.5, 4.5, 4.6, 20.0])
    targets = spans.targets(starts, 5.0, 3)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets[:, 0], [0.9, 0.9, 0.9, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(targets[:, 1], [0.4, 0.4, 0.4, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(targets[:, 2], [0.7] * 5, rtol=1e-6)


def test_targets_equal_the_slow_obvious_way() -> None:
    rng = np.random.default_rng(0)
    from train.soft_labels import Spans

    start = rng.uniform(0, 50, 40)
    spans = Spans(start, start + rng.uniform(0.5, 8, 40), rng.integers(0, 4, 40), rng.random(40).astype(np.float32))
    starts = rng.uniform(0, 50, 30)
    expected = np.zeros((30, 4), np.float32)
    for w, s in enumerate(starts):
        for a, b, label, score in zip(spans.start_s, spans.end_s, spans.label, spans.score, strict=True):
            if min(s + 5, b) - max(s, a) >= 0.5 * min(b - a, 5.0):
                expected[w, label] = max(expected[w, label], score)
    np.testing.assert_array_equal(spans.targets(starts, 5.0, 4), expected)


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    csv_path = write(tmp_path / "t.csv", "a.ogg,0,5,robin,0.5\nb.ogg,0,5,crow,0.5\n")
    pd.read_csv(csv_path).to_parquet(tmp_path / "t.parquet")
    for path in (csv_path, tmp_path / "t.parquet"):
        table = read_soft_labels(path, CODES)
        assert table.unknown == 1
        assert list(table.spans) == ["a.ogg", "b.ogg"]
        assert len(table.spans["b.ogg"].score) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.ogg,0,5,robin,1.5\n", "outside 0 to 1"),
        ("a.ogg,0,5,robin,high\n", "not a number"),
        ("a.ogg,0,,robin,0.5\n", "not a number|NaN"),
        ("a.ogg,5,5,robin,0.5\n", "not after its start_s"),
    ],
)
def test_what_is_no_score_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_soft_labels(write(tmp_path / "t.csv", rows), CODES)


def test_missing_files_and_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no soft labels"):
        read_soft_labels(tmp_path / "none.csv", CODES)
    (tmp_path / "t.csv").write_text("filename,label\na,b\n")
    with pytest.raises(ConfigError, match="not a table of"):
        read_soft_labels(tmp_path / "t.csv", CODES)

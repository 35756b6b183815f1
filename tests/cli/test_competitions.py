"""What a competition's notebook runs into: an empty test folder, other columns, other rows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow


@pytest.fixture
def birdwatch(tmp_path, tiny_model):
    def call(*arguments):
        return run_birdwatch(*arguments, "--model", tiny_model, cwd=tmp_path)

    return call


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_an_empty_test_folder_gives_the_rows_of_the_template(birdwatch, tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "readme.txt").write_text("added when the notebook is submitted")
    (tmp_path / "sample.csv").write_text("row_id,eurrob1,gretit1\nsoundscape_8358733_5,0.5,0.5\n")
    done = birdwatch("run", "hidden", "--out", "s.csv", "--format", "kaggle", "--template", "sample.csv")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "s.csv") == [["row_id", "eurrob1", "gretit1"], ["soundscape_8358733_5", "0", "0"]]
    assert "1 row of sample.csv has no recording; it is 0: soundscape_8358733_5" in done.stderr
    done = birdwatch("run", "hidden", "--out", "s.csv")
    assert done.returncode == 1
    assert "hidden holds no recording" in done.stderr


def test_columns_and_rows_that_do_not_match_are_named(birdwatch, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 32000)
    (tmp_path / "sample.csv").write_text("row_id,zzz1,gretit1,zzz2\na_5,0,0,0\nb_5,0,0,0\nc_5,0,0,0\n")
    done = birdwatch("run", "a.wav", "--out", "s.csv", "--format", "kaggle", "--template", "sample.csv")
    assert done.returncode == 0, done.stderr
    assert "2 of 3 columns of the template are no classes of the model tiny; they are 0: zzz1, zzz2" in done.stderr
    assert "2 rows of sample.csv have no recording; they are 0: b_5, c_5" in done.stderr


def test_what_a_template_has_twice_is_named(birdwatch, tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "sample.csv").write_text("row_id,eurrob1,gretit1,eurrob1\na_5,0,0,0\nb_5,0,0,0\na_5,0,0,0\n")
    done = birdwatch("run", "hidden", "--out", "s.csv", "--format", "kaggle", "--template", "sample.csv")
    assert done.returncode == 0, done.stderr
    assert "the template has columns more than once: eurrob1" in done.stderr
    assert "the template has rows more than once: a_5" in done.stderr

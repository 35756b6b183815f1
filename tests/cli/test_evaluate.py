"""`birdwatch evaluate` as its user calls it: a table that `run` wrote, and labels from Raven and from a csv."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import reference
import soundfile
from forked_birdwatch import run_birdwatch
from sklearn.metrics import average_precision_score, roc_auc_score

pytestmark = pytest.mark.slow

LABELS = ["gretit1", "eurrob1", "eurbla"]


@pytest.fixture
def birdwatch(tmp_path):
    def call(*arguments):
        return run_birdwatch(*arguments, cwd=tmp_path)

    return call


def test_figures_are_those_of_scikit_learn_on_an_independent_pipeline(birdwatch, tmp_path, tiny_model, song):
    (tmp_path / "season").mkdir()
    (tmp_path / "raven").mkdir()
    rng = np.random.default_rng(4)
    truth, scores = [], []
    for number in range(4):
        samples = np.roll(song, 32000 * 3 * number)[: 32000 * 10]
        soundfile.write(tmp_path / "season" / f"r{number}.wav", samples, 32000, subtype="FLOAT")
        scores.append(reference.score_windows(tiny_model, [samples[:160000], samples[160000:]]))
        lines = ["Selection\tBegin Time (s)\tEnd Time (s)\tSpecies"]
        for segment in range(2):
            present = rng.random(3) < 0.5
            truth.append(present)
            for label in np.flatnonzero(present):
                start = 5 * segment + rng.uniform(0.5, 3)
                lines.append(f"1\t{start:.3f}\t{start + 1:.3f}\t{('Great Tit', 'eurrob1', 'turdus merula')[label]}")
        (tmp_path / "raven" / f"r{number}.selections.txt").write_text("\n".join(lines) + "\n")
    out = ("--out", "d.parquet", "--min-score", "0", "--hop", "5", "--model", tiny_model)
    assert birdwatch("run", "season", *out).returncode == 0
    done = birdwatch("evaluate", "d.parquet", "--truth", "raven", "--out", "figures.csv")
    assert done.returncode == 0, done.stderr
    assert "8 segments of 4 recordings" in done.stderr
    truth, scores = np.array(truth), np.concatenate(scores)
    with (tmp_path / "figures.csv").open() as stream:
        rows = {row["label"]: row for row in csv.DictReader(stream)}
    aucs = []
    for column, label in enumerate(LABELS):
        true, score = truth[:, column], scores[:, column]
        assert int(rows[label]["positives"]) == true.sum()
        assert int(rows[label]["true_positives"]) == (true & (score >= 0.5)).sum()
        assert int(rows[label]["false_positives"]) == (~true & (score >= 0.5)).sum()
        assert float(rows[label]["average_precision"]) == pytest.approx(average_precision_score(true, score), abs=1e-4)
        assert float(rows[label]["auc"]) == pytest.approx(roc_auc_score(true, score), abs=1e-4)
        aucs.append(roc_auc_score(true, score))
    assert done.stdout.splitlines()[-1].split()[-1] == f"{np.mean(aucs):.4f}"


def test_a_submission_against_one_label_a_recording(birdwatch, tmp_path):
    (tmp_path / "sub.csv").write_text("row_id,class_name,presence\na,x,1\na,y,0\nb,x,1\nb,y,1\nc,x,0\nc,y,0\n")
    (tmp_path / "truth.csv").write_text("filename,primary_label\na.ogg,x\nb.ogg,y\nd.ogg,x\n")
    done = birdwatch("evaluate", "sub.csv", "--truth", "truth.csv")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()][1:3] == [
        ["x", "1", "1", "1", "0.5000", "1.0000", "0.5000", "0.5000"],
        ["y", "1", "1", "0", "1.0000", "1.0000", "1.0000", "1.0000"],
    ]
    assert "1 recording of the table has no labels" in done.stderr
    assert "1 labelled recording is not in the table: d.ogg" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv", "--truth", "t.csv"], "none.csv cannot be read"),
        (["t.csv", "--truth", "t.csv"], "t.csv lacks the columns"),
        (["sub.csv", "--truth", "none.csv"], "none.csv cannot be read"),
        (["sub.csv", "--truth", "t.csv", "--out", "no/f.csv"], "the folder no of f.csv does not exist"),
    ],
)
def test_bad_input_gets_one_line(birdwatch, tmp_path, arguments, said):
    (tmp_path / "t.csv").write_text("filename,label\na,x\n")
    (tmp_path / "sub.csv").write_text("row_id,class_name,presence\na,x,1\n")
    done = birdwatch("evaluate", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_intervals_and_a_reliability_diagram(birdwatch, tmp_path):
    names = [f"r{number}" for number in range(12)]
    present = [number % 3 == 0 for number in range(12)]
    scores = [0.95 if is_there else 0.05 for is_there in present]
    rows = [f"{name},{score},{1 - score}" for name, score in zip(names, scores, strict=True)]
    (tmp_path / "k.csv").write_text("row_id,x,y\n" + "".join(f"{row.replace(',', '_5,', 1)}\n" for row in rows))
    truth = [f"{name},{'x' if is_there else 'y'},0,5" for name, is_there in zip(names, present, strict=True)]
    (tmp_path / "t.csv").write_text("recording,label,start_s,end_s\n" + "\n".join(truth) + "\n")
    done = birdwatch("evaluate", "k.csv", "--truth", "t.csv", "--intervals", "--reliability", "r.csv")
    assert done.returncode == 0, done.stderr
    assert "over 12 recordings: precision 1.000 to 1.000" in done.stderr
    assert "expected calibration error 0.0500; r.csv" in done.stderr
    with (tmp_path / "r.csv").open(newline="") as stream:
        bins = list(csv.DictReader(stream))
    assert [(row["forecasts"], row["observed"]) for row in (bins[0], bins[5], bins[9])] == [
        ("12", "0.000000"),
        ("0", ""),
        ("12", "1.000000"),
    ]


TABLE = (
    "recording,path,channel,start_s,end_s,label,common_name,scientific_name,score,threshold,start,end\n"
    "tit,s/tit.wav,,0,5,gretit1,Great Tit,Parus major,0.9,0.5,,\n"
    "tit,s/tit.wav,,5,10,gretit1,Great Tit,Parus major,0.8,0.5,,\n"
)
BIRDNET = "Start (s),End (s),Scientific name,Common name,Confidence,File\n5,8,Parus major,Great Tit,0.9,tit.wav\n"
REVIEWED = (
    "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,TOP1MATCH,MANUAL ID\n"
    "/data,s,tit.wav,,0.000,5.000,gretit1,{}\n/data,s,tit.wav,,5.000,5.000,gretit1,{}\n"
)


@pytest.mark.parametrize(
    ("truth", "precision"),
    [
        (REVIEWED.format("Eurasian Blue Tit", "Eurasian Blue Tit"), "0.0000"),
        (REVIEWED.format("Great Tit", "Noise"), "0.5000"),
        (BIRDNET, "0.5000"),
        ("recording,label,start_s,end_s\ntit,Parus major_Great Tit,0,5\n", "0.5000"),
        ("recording,label,start_s,end_s\ntit,gretit1,5,5\n", "0.5000"),
    ],
)  # fmt: skip
def test_truth_in_other_dialects_asks_the_same_question(birdwatch, tmp_path, truth, precision):
    (tmp_path / "d.csv").write_text(TABLE)
    (tmp_path / "t.csv").write_text(truth)
    done = birdwatch("evaluate", "d.csv", "--truth", "t.csv")
    assert done.returncode == 0, done.stderr
    (line,) = (line.split() for line in done.stdout.splitlines() if line.startswith("gretit1"))
    assert line[4] == precision


@pytest.mark.parametrize(
    ("arguments", "truth", "said"),
    [
        ([], REVIEWED.format("Blue Tit", "Blue Tit"), "no class: 'Blue Tit' (did you mean 'Eurasian Blue Tit'"),
        ([], "recording,label,start_s,end_s\ntit,Greet Tit,0,5\n", "did you mean 'Great Tit'"),
        ([], "recording,label,start_s,end_s\ntit,a,0,5\ntit,b,,\n", "line 3: 'b' has no times"),
        ([], "recording,label\ntit,gretit1\ntat,gretit1\n", "not in the table: tat"),
        (["--segment", "5"], "recording,label\ntit,gretit1\n", "--segment needs times"),
        (["--out", "t.csv"], "recording,label\ntit,gretit1\n", "t.csv is an input of this command"),
        (["--out", "d.csv"], "recording,label\ntit,gretit1\n", "d.csv is an input of this command"),
        (["--out", "link.csv"], "recording,label\ntit,gretit1\n", "link.csv is an input of this command"),
        (["--out", "/dev/null"], "recording,label\ntit,gretit1\n", "/dev/null is a device, pipe or socket"),
    ],
)
def test_what_would_change_the_question_is_refused(birdwatch, tmp_path, arguments, truth, said):
    (tmp_path / "d.csv").write_text(TABLE)
    (tmp_path / "t.csv").write_text(truth)
    (tmp_path / "link.csv").symlink_to("d.csv")
    done = birdwatch("evaluate", "d.csv", "--truth", "t.csv", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "d.csv").read_text() == TABLE
    assert (tmp_path / "t.csv").read_text() == truth


def test_milliseconds_are_noticed_where_the_table_has_no_lengths(birdwatch, tmp_path):
    (tmp_path / "d.csv").write_text(TABLE)
    head = "recording,label,start_s,end_s\n"
    (tmp_path / "t.csv").write_text(head + "tit,gretit1,0,5000\ntit,gretit1,12000,15000\ntit,gretit1,20000,21000\n")
    done = birdwatch("evaluate", "d.csv", "--truth", "t.csv")
    assert done.returncode == 0
    assert "2 of the 3 labels begin after the last row of their recording; times are seconds" in done.stderr
    (tmp_path / "t.csv").write_text(head + "tit,gretit1,0,5\ntit,gretit1,12,15\n")
    assert "last row" not in birdwatch("evaluate", "d.csv", "--truth", "t.csv").stderr

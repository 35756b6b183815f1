import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import average_precision_score, roc_auc_score

from birdwatch.checkpoint.file import read_checkpoint
from birdwatch.checkpoint.network import build_network, pool_input
from birdwatch.errors import ConfigError
from train.__main__ import train
from train.dataset import read_table, read_unlabelled
from train.device import choose_device
from train.ensemble import checkpoints_of, load_ensemble
from train.evaluate import evaluate_recordings, held_out_recordings
from train.evaluate_soundscapes import evaluate_soundscapes, read_truth
from train.pseudo_label import write_pseudo_labels
from train.run import fit
from train.settings import Settings, read_toml

CODES = ("lowbird", "midbird", "highbird")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(birds: Path, mels: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings, list[str]]:
    """A run of three folds, with the published recipe but small, and what it said."""
    out = tmp_path_factory.mktemp("runs") / "all folds"
    settings = Settings(
        data=str(birds / "train.csv"),
        audio_root=str(birds / "train_audio"),
        taxonomy=str(birds / "taxonomy.csv"),
        cache=str(mels),
        out=str(out),
        clip="random",
        arch="test_efficientnet",
        input_pool=4,
        window_hop_s=1.0,
        folds=3,
        fold="all",
        epochs=1,
        batch_size=6,
        workers=0,
        threads=1,
        threshold_positives=6,
        device="cpu",
    )
    lines: list[str] = []
    fit(settings, resume=False, say=lines.append, quiet=True)
    return out, settings, lines


def test_the_run_folder_says_what_was_done(finished) -> None:
    out, settings, lines = finished
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    of_run = {"config.toml", "run.json", "folds.csv", "oof.csv", "classes.csv", "thresholds.json", "metrics.json"}
    of_fold = {f"fold{k}/{name}" for k in range(3) for name in ("best.pt", "last.pt", "metrics.csv", "oof.npz")}
    assert names == of_run | {"report.md", "curves.png"} | of_fold
    assert Settings(**read_toml(out / "config.toml")) == settings
    made = json.loads((out / "run.json").read_text())
    assert {"git_commit", "packages", "python", "data", "notes", "command"} <= set(made)
    assert made["packages"]["torch"]
    assert "## Held-out recordings" in (out / "report.md").read_text()
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert any("out of fold, 18 recordings" in line for line in lines)


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path) -> None:
    done = CliRunner().invoke(train, ["fit", "--out", str(tmp_path / "none"), "--resume"])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(f"{tmp_path / 'none'} holds no run to resume; start one with --data")
    assert not (tmp_path / "none").exists()


def test_a_refused_resume_leaves_the_run_folder_as_it_was(finished, monkeypatch) -> None:
    out, settings, _ = finished
    before = {name: (out / name).read_bytes() for name in ("config.toml", "run.json", "folds.csv")}
    with pytest.raises(ConfigError, match=r"cannot be resumed: epochs was 1 and is 2\. .*--resume alone"):
        fit(replace(settings, epochs=2), resume=True, say=lambda _: None, quiet=True)
    assert {name: (out / name).read_bytes() for name in before} == before
    # The command finds the settings of a run in its folder.
    seen: list[Settings] = []
    monkeypatch.setattr("train.run.fit", lambda settings, **_: seen.append(settings))
    done = CliRunner().invoke(train, ["fit", "--out", str(out), "--resume"], catch_exceptions=False)
    assert done.exit_code == 0
    assert seen == [settings]


def test_out_of_fold_metrics_equal_scikit_learn_on_the_written_scores(finished) -> None:
    out, _, _ = finished
    rows = rows_of(out / "oof.csv")
    folds = {row["filename"]: row["fold"] for row in rows_of(out / "folds.csv")}
    assert {row["filename"]: row["fold"] for row in rows} == folds
    scores = np.array([[float(row[code]) for code in CODES] for row in rows])
    truth = np.array([[row["primary_label"] == code for code in CODES] for row in rows])
    truth[[row["filename"] == "lowbird/XC00.wav" for row in rows], 2] = True  # its secondary label
    metrics = json.loads((out / "metrics.json").read_text())
    pooled = metrics["out_of_fold"]
    assert pooled["recording_auc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-4)
    assert pooled["recording_cmap"] == pytest.approx(average_precision_score(truth, scores), abs=1e-4)
    low, high = metrics["interval"]
    assert low <= pooled["recording_auc"] <= high
    tapes = np.array(["tapes" if row["filename"][-5] in "012" else "discs" for row in rows])
    for name in ("tapes", "discs"):
        expected = roc_auc_score(truth[tapes == name], scores[tapes == name])
        assert metrics["collections"][name]["recording_auc"] == pytest.approx(expected, abs=1e-4)
    for row, column in zip(rows_of(out / "classes.csv"), range(3), strict=True):
        assert (row["label"], row["recordings"], row["recordists"]) == (CODES[column], "6", "3")
        assert float(row["auc"]) == pytest.approx(roc_auc_score(truth[:, column], scores[:, column]), abs=2e-4)
        found = scores[:, column] >= float(row["threshold"])
        if found.any():
            assert float(row["precision"]) == pytest.approx(truth[found, column].mean(), abs=0.26)
        assert row["own_threshold"] == "True"


def test_windows_and_recordings_of_a_fold_agree(finished) -> None:
    out, _, _ = finished
    with np.load(out / "fold1" / "oof.npz") as found:
        scores, source, start_s, names = (found[k] for k in ("scores", "source", "start_s", "filenames"))
    by_name = {row["filename"]: row for row in rows_of(out / "oof.csv")}
    assert len(start_s) > len(set(source.tolist())), "there are recordings of several windows"
    for number in set(source.tolist()):
        row = by_name[str(names[number])]
        assert row["fold"] == "1"
        highest = scores[source == number].max(axis=0)
        np.testing.assert_allclose([float(row[code]) for code in CODES], highest, atol=1e-6)


def test_the_thresholds_are_in_the_checkpoints(finished) -> None:
    out, settings, _ = finished
    written = json.loads((out / "thresholds.json").read_text())
    manifest = read_checkpoint(out / "fold2" / "best.pt").manifest
    assert manifest.threshold == written["common"]
    assert manifest.thresholds == written["own"]
    assert set(written["own"]) == set(CODES)
    final = replace(settings, fold="none", out=str(out.parent / "final"), thresholds=str(out / "thresholds.json"))
    fit(final, resume=False, say=lambda _: None, quiet=True)
    manifest = read_checkpoint(out.parent / "final" / "full" / "best.pt").manifest
    assert (manifest.threshold, dict(manifest.thresholds)) == (written["common"], written["own"])


def test_evaluate_scores_recordings_as_the_daemon_does(finished, birds: Path, tmp_path: Path) -> None:
    import soundfile
    import torch

    from birdwatch.model.frontend import log_mel

    out, _, _ = finished
    path = out / "fold0" / "best.pt"
    ensemble = load_ensemble([path], choose_device("cpu"))
    chosen = held_out_recordings(path, "0", read_table(birds / "train.csv", birds / "train_audio"), only=True)
    assert {r.filename for r in chosen.recordings} == {
        r["filename"] for r in rows_of(out / "folds.csv") if r["fold"] == "0"
    }
    assert chosen.trained_on == 0
    everything = held_out_recordings(path, "0", read_table(birds / "train.csv", birds / "train_audio"), only=False)
    assert everything.trained_on == 18 - len(chosen.recordings)
    lines: list[str] = []
    metrics = evaluate_recordings(
        ensemble, chosen.recordings, hop_s=2.5, out=tmp_path / "e", say=lines.append, quiet=True
    )
    scores = rows_of(tmp_path / "e" / "scores.csv")
    checkpoint = read_checkpoint(path)
    network = build_network(checkpoint.model)
    network.load_state_dict(checkpoint.state_dict)
    network.eval()
    for recording, row in zip(chosen.recordings, scores, strict=True):
        samples, _ = soundfile.read(recording.path, dtype="float32")
        windows = []
        for start in range(0, len(samples), 80000):
            if start == 0 or len(samples) - start >= 32000 * 2.5 or len(samples) - start >= 32000:
                windows.append(np.pad(samples[start : start + 160000], (0, max(0, start + 160000 - len(samples)))))
            if start + 160000 >= len(samples):
                break
        with torch.no_grad():
            images = pool_input(torch.from_numpy(log_mel(np.stack(windows))), (4, 4))
            expected = torch.sigmoid(network(images)).amax(dim=0).numpy()
        np.testing.assert_allclose([float(row[code]) for code in CODES], expected, atol=1e-5)
    truth = np.array([[code in (r.label, *r.secondary) for code in CODES] for r in chosen.recordings])
    written = np.array([[float(row[code]) for code in CODES] for row in scores])
    kept = truth.any(axis=0) & ~truth.all(axis=0)
    assert metrics["recording_auc"] == pytest.approx(roc_auc_score(truth[:, kept], written[:, kept]), abs=1e-4)
    assert any("recording_auc" in line for line in lines)


def test_evaluate_judges_the_rows_of_soundscapes(finished, birds: Path, tmp_path: Path) -> None:
    import shutil

    out, _, _ = finished
    folder = tmp_path / "soundscapes"
    folder.mkdir()
    shutil.copy(birds / "train_audio/lowbird/XC02.wav", folder / "night.wav")  # 7.1 s: segments to 5 and 10
    shutil.copy(birds / "train_audio/highbird/XC22.wav", folder / "dawn.wav")
    wide = tmp_path / "wide.csv"
    wide.write_text("row_id,lowbird,highbird,crow\nnight_5,1,0,0\nnight_10,1,0,0\ndawn_5,0,1,0\ndawn_10,0,1,1\n")
    long = tmp_path / "long.csv"
    long.write_text("row_id,birds\nnight_5,lowbird\nnight_10,lowbird crow\ndawn_5,highbird\ndawn_10,highbird\n")
    ids, truth = read_truth(wide, CODES)
    assert ids == ["night_5", "night_10", "dawn_5", "dawn_10"]
    np.testing.assert_array_equal(truth, read_truth(long, CODES)[1])
    ensemble = load_ensemble(checkpoints_of(out), choose_device("cpu"))
    assert len(ensemble.networks) == 3
    metrics = evaluate_soundscapes(ensemble, folder, wide, out=tmp_path / "e", say=lambda _: None, quiet=True)
    assert metrics["rows"] == 4
    assert metrics["classes_with_positives"] == 2
    rows = rows_of(tmp_path / "e" / "scores.csv")
    scores = np.array([[float(row[code]) for code in CODES] for row in rows])
    assert metrics["auc"] == pytest.approx(roc_auc_score(truth[:, [0, 2]], scores[:, [0, 2]]), abs=1e-4)
    # The same truth by onset and offset, by code or by name, in a csv and in Raven's tables.
    spans = tmp_path / "spans.csv"
    spans.write_text(
        "filename,onset,offset,label\nnight.wav,0.5,7.0,lowbird\ndawn.wav,0,6.0,highbird\nnight.wav,1,2,crow\n"
    )
    raven = tmp_path / "raven"
    raven.mkdir()
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
    (raven / "night.Table.1.selections.txt").write_text(header + "1\t0.5\t7.0\tlowbird\n")
    (raven / "dawn.Table.1.selections.txt").write_text(header + "1\t0\t6.0\thighbird\n")
    lines: list[str] = []
    for table in (spans, raven):
        assert (
            evaluate_soundscapes(ensemble, folder, table, out=tmp_path / "s", say=lines.append, quiet=True) == metrics
        )
        by_row = {row["row_id"]: row for row in rows_of(tmp_path / "s" / "scores.csv")}
        assert [by_row[row["row_id"]] for row in rows] == rows
    assert "1 label outside the checkpoint's classes, not compared: crow (1)" in lines


def test_tables_of_segments_that_do_not_fit_are_refused(finished, tmp_path: Path, birds: Path) -> None:
    from birdwatch.errors import ConfigError, SourceError

    out, _, _ = finished
    table = tmp_path / "t.csv"
    for text, message in [
        ("id\n1\n", "must have a column row_id"),
        ("row_id,crow\na_5,1\n", "neither a column birds"),
        ("row_id,lowbird\na_5,yes\n", "line 2: lowbird is 'yes'"),
    ]:
        table.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_truth(table, CODES)
    ensemble = load_ensemble(checkpoints_of(out / "fold0" / "best.pt"), choose_device("cpu"))
    for row, message in [("snow_5", "lacks 1 of the 1 soundscapes"), ("rain0_95", "no segment of 5 s matches")]:
        table.write_text(f"row_id,birds\n{row},lowbird\n")
        with pytest.raises(SourceError, match=message):
            evaluate_soundscapes(ensemble, birds / "background", table, out=None, say=print, quiet=True)


def test_pseudo_labels_are_the_folds_mean_to_a_power_and_train_the_next_round(
    finished, quick: Settings, birds: Path, tmp_path: Path
) -> None:
    out, _, _ = finished
    ensemble = load_ensemble(checkpoints_of(out), choose_device("cpu"))
    folder = tmp_path / "soundscapes"
    folder.mkdir()
    for source in read_unlabelled(birds / "background"):
        (folder / source.filename).write_bytes(source.path.read_bytes())
    (folder / "broken.wav").write_text("not audio")
    rows, faults = write_pseudo_labels(ensemble, folder, tmp_path / "p.csv", power=2.0, least=0.01, quiet=True)
    assert len(faults) == 1
    assert "broken.wav" in faults[0]
    written = rows_of(tmp_path / "p.csv")
    assert len(written) == rows > 0
    single = [load_ensemble([path], choose_device("cpu")) for path in checkpoints_of(out)]
    for row in written:
        windows = [one.score_file(folder / row["filename"], hop_s=5.0) for one in single]
        number = round(float(row["start_s"]) / 5)
        mean = np.mean([scored[number].scores[CODES.index(row["label"])] for scored in windows])
        assert float(row["score"]) == pytest.approx(mean**2, abs=1e-4)
        assert float(row["end_s"]) - float(row["start_s"]) == 5.0
    settings = replace(quick, epochs=1, pseudo=str(tmp_path / "p.csv"), pseudo_root=str(folder), pseudo_prob=1.0)
    with_pseudo = fit(settings, resume=False, say=lambda _: None, quiet=True)
    without = fit(replace(quick, epochs=1, out=quick.out + " plain"), resume=False, say=lambda _: None, quiet=True)
    losses = [float(rows_of(run / "fold0" / "metrics.csv")[0]["loss"]) for run in (with_pseudo, without)]
    assert losses[0] != losses[1]


def test_folds_that_stop_early_get_a_report_and_thresholds(quick: Settings) -> None:
    out = fit(
        replace(quick, fold="all", epochs=3, stop_epoch=1, threshold_positives=2), resume=False, say=lambda _: None
    )
    assert json.loads((out / "metrics.json").read_text())["folds"] == 3
    common = json.loads((out / "thresholds.json").read_text())["common"]
    assert read_checkpoint(out / "fold0" / "best.pt").manifest.threshold == common
    assert "3 epochs" not in (out / "report.md").read_text()

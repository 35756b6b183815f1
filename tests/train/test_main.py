import sys
from pathlib import Path

import pytest
from train_command import command

from birdwatch.checkpoint.file import read_checkpoint


def test_from_recordings_to_pseudo_labels_by_the_commands(birds: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    cache, out = tmp_path / "mels", tmp_path / "run"
    data = ("--data", birds / "train.csv", "--audio-root", birds / "train_audio")
    assert command(monkeypatch, "prepare", *data, "--cache", cache) == 0
    assert "18 of 18 recordings" in capsys.readouterr().out
    config = tmp_path / "a.toml"
    config.write_text('epochs = 9\ninput_pool = 8\nworkers = 0\nthreads = 1\ndevice = "cpu"\nfolds = 3\n')
    given = ("--config", config, *data, "--taxonomy", birds / "taxonomy.csv", "--cache", cache, "--out", out)
    assert command(monkeypatch, "fit", *given, "--epochs", 1, "--fold", 1) == 0, "an option goes before the file"
    assert "fold 1 epoch 1/1" in capsys.readouterr().out
    checkpoint = read_checkpoint(out / "fold1" / "best.pt")
    assert checkpoint.model.arch == "efficientnet_b0"
    assert checkpoint.config["epochs"] == 1
    assert command(monkeypatch, "evaluate", out / "fold1" / "best.pt", *data, "--held-out", "--device", "cpu") == 0
    assert "recording_auc" in capsys.readouterr().out
    pseudo = ("--soundscapes", birds / "background", "--out", tmp_path / "p.csv", "--min-score", "0.001")
    assert command(monkeypatch, "pseudo-label", out, *pseudo, "--device", "cpu") == 0
    assert (tmp_path / "p.csv").read_text().startswith("filename,start_s,end_s,label,score\nrain0.wav,0,5,")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("fit",), 1, "give the run folder with --out"),
        (("fit", "--out", "x", "--audio-root", "nowhere", "--cache", "y"), 1, "no folder nowhere"),
        (("fit", "--config", "none.toml"), 1, "no settings file none.toml"),
        (("fit", "--clip", "middle"), 2, "'middle' is not one of"),
        (("fit", "--epochs", "0"), 1, "epochs is 0, expected at least 1"),
        (("prepare",), 1, "prepare needs --audio-root and --cache"),
        (("evaluate", "none.pt"), 1, "checkpoint none.pt cannot be read"),
        (("pseudo-label", "none", "--soundscapes", "x", "--out", "p.csv"), 1, "checkpoint none cannot be read"),
        (("dance",), 2, "No such command 'dance'"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    if code == 1:
        assert error.count("\n") == 1
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_help_comes_without_torch() -> None:
    import subprocess

    program = "import sys; sys.argv = ['x', 'fit', '--help']\nfrom train.__main__ import main\n"
    program += "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert "--mixup-alpha" in done.stdout
    assert done.stdout.splitlines()[-1] == "False False"

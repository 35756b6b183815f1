"""Odd input to the real command line: one line that says what is wrong, and the right exit code. Never a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow

BIRDWATCH = f"{sys.executable} -m birdwatch"
RUN = "birdwatch run a.wav --model m.onnx --out o.csv"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, tiny_model):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32), 16000)
    (tmp_path / "random.wav").write_bytes(np.random.default_rng(1).bytes(4000))
    (tmp_path / "nul.txt").write_bytes(b"a\0b.wav\n")
    (tmp_path / "utf16.txt").write_bytes("a.wav\n".encode("utf-16"))
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "file").write_text("")
    (tmp_path / "t.csv").write_text("row_id,class_name,presence\na_5,x,0\n")
    (tmp_path / "m.onnx").write_bytes(tiny_model.read_bytes())
    return tmp_path


def shell(folder, line):
    """A line of bash, in which `birdwatch` is the command of this checkout."""
    if not set(line) & set("<>|&;$`~*"):
        command, *words = shlex.split(line)
        assert command == "birdwatch"
        return run_birdwatch(*words, cwd=folder)
    script = f'birdwatch() {{ {BIRDWATCH} "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, check=False, timeout=120)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("birdwatch run a.wav --out o.csv --hop nan", 2, "hop is 'nan', expected 0.01 or more"),
        ("birdwatch run a.wav --out o.csv --hop inf", 2, "hop is 'inf', expected 0.01 or more"),
        ("birdwatch run a.wav --out o.csv --threshold nan", 2, "threshold is 'nan', expected 0 to 1"),
        ("birdwatch run - --out o.csv < nul.txt", 1, "the list on stdin holds NUL characters"),
        ("birdwatch run - --out o.csv < utf16.txt", 1, "the list on stdin"),
        ("birdwatch run @nul.txt --out o.csv", 1, "the list nul.txt holds NUL characters"),
        ("birdwatch run - --out o.csv <&-", 1, "the list is empty"),
        ("birdwatch model list > /dev/full", 1, "standard output cannot be written: No space left on device"),
        ("birdwatch --help > /dev/full", 1, "standard output cannot be written: No space left on device"),
        ("birdwatch model list >&-", 1, "standard output cannot be written: Bad file descriptor"),
        ("birdwatch run loop.wav --out o.csv", 1, "loop.wav cannot be read: Too many levels of symbolic links"),
        ("birdwatch report .", 1, ". is a folder; name a table"),
        ("birdwatch report /", 1, "/ is a folder; name a table"),
        ("birdwatch run a.wav --out file/ --format raven", 1, "file is a file, and a folder is needed there"),
        ("birdwatch run random.wav --out o.csv", 1, "random.wav is not audio that can be read"),
        ("birdwatch run <(cat a.wav) --out o.csv", 1, "is a pipe, a socket or a device, expected a file"),
        ("birdwatch run '' --out o.csv", 1, "a recording's name is empty"),
        ("birdwatch embed '' --out o.parquet", 1, "a recording's name is empty"),
        ("birdwatch listen dawn.wav", 2, "`birdwatch run dawn.wav --out dawn.csv` scores a recording"),
        ("birdwatch listen --hop nan", 2, "hop is 'nan', expected 0.01 or more"),
        ("birdwatch listen --bind nonsense", 2, "bind is 'nonsense', expected tcp://HOST:PORT or ipc://PATH"),
        ("birdwatch listen --replay-bind udp://a:1", 2, "replay_bind is 'udp://a:1', expected off, tcp://HOST:PORT"),
        ("birdwatch run a.wav --out ''", 1, ". is a folder; name a file to write"),
        ("birdwatch run a.wav --out o.csv --species .", 1, "the species list . cannot be read as text: Is a directory"),
        ("birdwatch run a.wav --out o.csv --species $'\\e[31m'", 1, r"the species list \x1b[31m cannot be read"),
        ("birdwatch listen --source ''", 1, "source is '', expected a file, or - for raw audio on stdin"),
        ("birdwatch listen --url bla", 1, "url is not the address of a stream; expected one of rtsp"),
        ("birdwatch listen --source a.wav --folder .", 1, "folder is '.': give one of them"),
        ("birdwatch listen --source a.wav --station $'a\\xe9'", 2, "station is 'a\\udce9', expected text like"),
        ("birdwatch evaluate t.csv --truth /dev/null", 1, "/dev/null are empty and have no column for a label"),
        (
            "birdwatch evaluate t.csv --truth t.csv --out x --reliability ./x",
            1,
            "name the same file, x; give each its own",
        ),
    ],
)
def test_one_line(folder, line, code, said):
    done = shell(folder, line)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        "birdwatch run a.wav --out o.csv --min-score nan",
        "birdwatch embed a.wav --out o.parquet --hop nan",
        "birdwatch evaluate t.csv --truth t.csv --segment inf",
        "birdwatch evaluate t.csv --truth ''",
        "birdwatch evaluate '' --truth t.csv",
        "birdwatch report ''",
        "birdwatch run a.wav --out o.csv --batch 10000000000000000000000",
        "birdwatch listen --no-such-option",
    ],
)
def test_what_click_refuses_is_wrong_usage(folder, line):
    done = shell(folder, line)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (RUN + " --json-progress | true; exit ${PIPESTATUS[0]}", "its reader is gone"),
        (RUN + " --json-progress > /dev/full", "No space left on device"),
        (RUN + " >&-", "1 recording,"),
        (RUN + " 2>&-", ""),
        (RUN + " 2> /dev/full", ""),
        (RUN + " hidden 2> /dev/full", ""),
        (RUN + " 2>&1 | true; exit ${PIPESTATUS[0]}", ""),
        ("trap '' PIPE; " + RUN + " 2> >(true)", ""),
    ],
)  # fmt: skip
def test_a_run_continues_when_its_output_is_not_read(folder, line, said):
    (folder / "hidden").mkdir()
    (folder / "hidden/b.wav").write_bytes((folder / "a.wav").read_bytes())
    (folder / "hidden/c.wav").symlink_to("nowhere")  # which is told on stderr before anything is scored
    done = shell(folder, line)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "o.csv").read_text().startswith("row_id,")


@pytest.mark.parametrize("stdin", ["< /dev/null", "<&-"])
def test_a_pipe_without_audio_is_an_error(folder, stdin):
    options = f"--model m.onnx --bind ipc://{folder}/s --replay-bind off --journal-max-mb 0"
    done = shell(folder, f"birdwatch listen --source - {options} {stdin}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("birdwatch: --source - ended before its first sample")


def test_an_unwritable_folder_is_known_before_anything_is_scored(folder):
    if os.getuid() == 0:
        # Root may write everywhere, but not into the kernel's own folder of processes.
        line, said = "birdwatch run a.wav --model m.onnx --out /proc/o.csv", "/proc/o.csv.journal cannot be written"
    else:
        (folder / "ro").mkdir(mode=0o555)
        line, said = "birdwatch run a.wav --model m.onnx --out ro/o.csv", "the folder ro cannot be written to"
    done = shell(folder, line)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["train", "export"])
def test_training_without_its_extra_says_what_to_install(folder, command):
    arguments = {
        "train": ["fit", "--out", "r", "--data", "d.csv", "--audio-root", "."],
        "export": ["x.pt", "--out", "x.onnx"],
    }[command]
    # A finder that has no torch; None in sys.modules would break SciPy, which looks there for torch's arrays.
    code = (
        "import runpy, sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        f"sys.meta_path.insert(0, Without()); sys.path.insert(0, {str(ROOT)!r})\n"
        f"sys.argv = ['{command}', *{arguments!r}]; runpy.run_module('{command}', run_name='__main__')"
    )
    (folder / "x.pt").write_bytes(b"")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 1
    assert f"torch: {sys.executable} -m pip install '" in done.stderr
    assert f"[{command}]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_analyze_takes_the_name_of_a_model(folder):
    import birdwatch

    one = birdwatch.analyze(folder / "a.wav", folder / "m.onnx")
    two = birdwatch.analyze(folder / "a.wav", birdwatch.load_model(folder / "m.onnx"))
    np.testing.assert_array_equal(one.scores, two.scores)
    with pytest.raises(birdwatch.errors.ModelError, match="there is no model 'no-such-model'"):
        birdwatch.analyze(folder / "a.wav", "no-such-model")

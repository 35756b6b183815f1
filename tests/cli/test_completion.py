"""What a shell is told at TAB: commands, options, and that it completes file names itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def complete(shell, *words):
    """The answers of the real command to one TAB behind `words`."""
    environment = {**os.environ, "_BIRDWATCH_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(words)}
    environment |= {"COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "from birdwatch.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_recordings_and_tables_are_files(shell):
    for words in (("birdwatch", "run", "sea"), ("birdwatch", "run", "a.wav", "--out", "sub")):
        assert "file" in complete(shell, *words)
    assert "plain" in complete(shell, "birdwatch", "ev")
    assert "evaluate" in complete(shell, "birdwatch", "ev")


def test_commands_are_completed_without_importing_them():
    code = (
        "import sys\nfrom birdwatch.cli.main import birdwatch\nimport click\n"
        "items = birdwatch.shell_complete(click.Context(birdwatch), 're')\n"
        "print(*[item.value for item in items], 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["report", "replay", "False"]

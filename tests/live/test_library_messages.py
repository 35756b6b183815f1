"""What libraries write to stderr is passed on; a flood of it is bounded and counted, and no line of our own is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from listening import ROOT

from birdwatch.live.library_messages import LINES

PROGRAM = """
import faulthandler, logging, os, sys, time
from birdwatch.standard_streams import complete_streams
from birdwatch.live import library_messages
library_messages.PERIOD_S = 0.5
faulthandler.enable(2)
complete_streams()
logging.basicConfig(level=logging.INFO)
library_messages.bound_library_messages()
for number in range(int(sys.argv[1])):
    try:
        os.write(2, b"Expression 'ready' failed in 'pa_linux_alsa.c' %d\\n" % number)
    except BlockingIOError:
        pass
    if number % 10_000 == 0:
        logging.info("own line %d", number)
while "left out" not in open(sys.argv[2]).read() and int(sys.argv[1]) > 1000:
    time.sleep(0.02)
while "afterwards" not in open(sys.argv[2]).read():
    os.write(2, b"afterwards\\n")
    time.sleep(0.02)
if sys.argv[3] == "crash":
    faulthandler._sigabrt()
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="descriptors of POSIX")


def written(path, count, end="well"):
    with path.open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(count), str(path), end],
            stderr=stream,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    return done.returncode, path.read_text().splitlines()


def test_a_few_lines_are_passed_on_as_they_are(tmp_path):
    code, lines = written(tmp_path / "err", 50)
    assert code == 0
    assert [line.rpartition(" ")[2] for line in lines if "Expression" in line] == [str(n) for n in range(50)]


@pytest.mark.slow
def test_a_flood_is_bounded_and_counted_and_no_own_line_is_lost(tmp_path):
    code, lines = written(tmp_path / "err", 300_000)
    assert code == 0
    assert [line for line in lines if "own line" in line] == [
        f"INFO:root:own line {number}" for number in range(0, 300_000, 10_000)
    ]
    # Some periods of half a second, by how slow this machine is.
    assert LINES <= sum("Expression" in line for line in lines) < 300_000 / 10
    assert any("further lines to stderr, left out" in line for line in lines)
    assert "afterwards" in lines


def test_where_the_process_crashes_its_threads_are_shown(tmp_path):
    code, lines = written(tmp_path / "err", 1, "crash")
    assert code < 0
    assert any("Fatal Python error: Aborted" in line for line in lines)

"""What a process knows of itself, also when it has no descriptor left."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, resource
from birdwatch.process import free_descriptors, open_files, rss_mb
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
before = rss_mb()
try:
    while True:
        os.dup(0)
except OSError:
    pass
after, left, count = rss_mb(), free_descriptors(), open_files()
os.closerange(3, 64)
print(before, after, left, count)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_resident_memory_is_known_without_a_descriptor() -> None:
    # Without a descriptor it is the peak, which a process inherits from the one that forked it: a shell, not pytest.
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    before, after, *_ = map(float, done.stdout.split())
    assert before > 1
    assert before / 2 < after < before * 2

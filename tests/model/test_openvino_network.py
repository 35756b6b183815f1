from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

# Signals come to the main thread; the network is freed on another one, as when a model is changed while listening.
PROGRAM = """
import gc, os, signal, threading
from birdwatch.api import load_model
box = [load_model(provider="openvino")]
assert box[0].provider.startswith("OpenVINO"), box[0].provider
signal.signal(signal.SIGHUP, lambda *_: print("told", flush=True))
thread = threading.Thread(target=lambda: (box.clear(), gc.collect()))
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGHUP)
print("alive")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_signal_after_the_network_was_freed_on_another_thread_kills_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "told\nalive\n"), done.stderr

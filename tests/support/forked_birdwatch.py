"""`birdwatch` in a process forked from one that has imported it: real arguments, streams, files and exit code.

A started `birdwatch` spends most of a second on imports, and hundreds of tests start one. The process that forks has a
single thread and has run nothing. Tests of signals, of killed processes and of the start itself start the real command;
where the system is not Linux, all of them do.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["run_birdwatch"]

# What most commands import, and nothing that starts a thread.
IMPORTED = (
    "av",
    "jinja2",
    "numpy",
    "onnxruntime",
    "pandas",  # pyarrow imports it where it is installed
    "pyarrow.parquet",
    "rich.progress",
    "scipy.special",
    "soundfile",
    "soxr",
    "birdwatch.cli.embed",
    "birdwatch.cli.evaluate",
    "birdwatch.cli.main",
    "birdwatch.cli.merge",
    "birdwatch.cli.model_list",
    "birdwatch.cli.model_show",
    "birdwatch.cli.plan",
    "birdwatch.cli.report",
    "birdwatch.cli.run",
    "birdwatch.cli.work",
    "birdwatch.report.page",
)
# More than the largest environment and command line that a test hands over.
REQUEST_BYTES = 1 << 17


def run_birdwatch(
    *words: object, cwd: Path, env: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """What `python -m birdwatch WORDS` in `cwd` with `text` on stdin prints and exits with.

    `env` replaces the whole environment.
    """
    arguments = [str(word) for word in words]
    if sys.platform != "linux":
        return subprocess.run(
            [sys.executable, "-m", "birdwatch", *arguments],
            cwd=cwd,
            env=env,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
    request = {"arguments": arguments, "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
    with contextlib.ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3))
        given.write(text)
        given.seek(0)
        channel = _forking_process()
        socket.send_fds(channel, [json.dumps(request).encode()], [file.fileno() for file in (given, out, err)])
        code = int(channel.recv(16))
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["birdwatch", *arguments], code, out.read(), err.read())


@functools.cache
def _forking_process() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _become_the_command(request: bytes, streams: list[int]) -> None:
    wanted = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.argv = ["birdwatch", *wanted["arguments"]]
    sys.path[0] = wanted["cwd"]
    runpy.run_module("birdwatch", run_name="__main__", alter_sys=True)


def _serve(channel: socket.socket) -> None:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it starts a thread on import
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # as the command sets it
    for name in IMPORTED:
        # Some are extras; the command says so itself where one is missing.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # The allocator's own thread starts again after a fork (pthread_atfork); any other would be missing there.
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("[0-9]*/comm")]
    if len(threads) - threads.count("jemalloc_bg_thd") > 1:
        raise RuntimeError(f"importing started threads, which a forked process would not have: {threads}")
    gc.freeze()
    while True:
        request, streams, _, _ = socket.recv_fds(channel, REQUEST_BYTES, 3)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become_the_command(request, streams)
            return
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        channel.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

"""Whatever dies, the run that is started again writes the bytes of one machine: real schedulers, workers and disks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("distributed", reason="pip install '.[cluster]'")
pytestmark = pytest.mark.slow

DEADLINE_S = 120.0
BIRDWATCH = [sys.executable, "-m", "birdwatch"]
OUTPUTS = ["--out", "d.csv", "--format", "detections"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and network namespaces need root")


@pytest.fixture
def season(tmp_path, song):
    folder = tmp_path / "season"
    folder.mkdir()
    for number in range(6):
        samples = np.tile(np.roll(song, 32000 * number), 8)[: 32000 * (50 + number)]
        soundfile.write(folder / f"AM_202405{number + 10}_043000.wav", samples, 32000)
    return folder


@pytest.fixture
def alone(tmp_path, season, tiny_model):
    folder = tmp_path / "alone"
    folder.mkdir()
    line = [*BIRDWATCH, "run", str(season), *OUTPUTS, "--jobs", "1", "--model", str(tiny_model)]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return (folder / "d.csv").read_bytes()


@pytest.fixture
def stack():
    with ExitStack() as value:
        yield value


def until(what: str, condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"no {what} within {DEADLINE_S:g} s"
        time.sleep(0.02)


def start(stack: ExitStack, *command: str, cwd: Path, **options) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )

    def end() -> None:
        # Its workers and decoders too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    stack.callback(end)
    return process


class DaskCluster:
    """A scheduler and workers that the test itself starts, kills and cuts off."""

    def __init__(self, stack: ExitStack, folder: Path, host: str = "127.0.0.1") -> None:
        self._stack, self._folder = stack, folder
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.address = f"tcp://{host}:{self.port}"
        self.scheduler = self._start("dask_scheduler", "--host", host, "--port", str(self.port))
        until("scheduler", self._answers)

    def worker(self, *prefix: str) -> subprocess.Popen[str]:
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny", prefix=prefix)

    def _start(self, module: str, *more: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*prefix, sys.executable, "-m", f"distributed.cli.{module}", *more, "--no-dashboard"]
        # A worker that is silent for three seconds is taken for dead.
        env = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s"}
        return start(self._stack, *command, cwd=self._folder, env=env)

    def _answers(self) -> bool:
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return True
        return False


def run(season: Path, model: Path, *more: str) -> list[str]:
    return [*BIRDWATCH, "run", str(season), *OUTPUTS, "--model", str(model), "--engine", "dask", *more]


def commits(store: Path) -> list[Path]:
    return [path for path in store.glob("units/*/*") if not path.name.startswith(".")]


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def test_a_scheduler_that_is_killed_is_one_line_and_the_run_goes_on_with_another(
    tmp_path, season, tiny_model, alone, stack
):
    cluster = DaskCluster(stack, tmp_path)
    cluster.worker()
    store = tmp_path / "store"
    driver = start(stack, *run(season, tiny_model, "--scheduler", cluster.address, "--store", str(store)), cwd=tmp_path)
    until("commit", lambda: commits(store) or driver.poll() is not None)
    cluster.scheduler.kill()
    _, said = driver.communicate(timeout=DEADLINE_S)
    if driver.returncode:  # it may have been done
        assert driver.returncode == 1, said
        assert f"the connection to Dask's scheduler was lost; what is committed is in {store}" in said
        assert "Traceback" not in said
    other = DaskCluster(stack, tmp_path)
    other.worker()
    again = run(season, tiny_model, "--scheduler", other.address, "--store", str(store), "--resume")
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d.csv").read_bytes() == alone


def test_workers_that_are_killed_in_a_unit_cost_no_recording(tmp_path, season, tiny_model, alone, stack):
    driver = start(stack, *run(season, tiny_model, "--workers", "2", "--store", "store"), cwd=tmp_path)
    until("commit", lambda: commits(tmp_path / "store") or driver.poll() is not None)
    for pid in children(driver.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, said = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 0, said
    assert (tmp_path / "d.csv").read_bytes() == alone


def test_two_drivers_on_one_store(tmp_path, season, tiny_model, alone, stack):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    line = run(season, tiny_model, "--workers", "1", "--store", str(tmp_path / "store"))
    drivers = [start(stack, *line, cwd=folder) for folder in folders]
    for driver in drivers:
        _, said = driver.communicate(timeout=DEADLINE_S)
        assert driver.returncode == 0, said
    assert [(folder / "d.csv").read_bytes() for folder in folders] == [alone, alone]
    assert not list((tmp_path / "store").rglob("units/*/.*"))


def mounted(stack: ExitStack, folder: Path, options: str) -> None:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@needs_root
@pytest.mark.parametrize(("bad", "good"), [("size=64k", "size=64m"), ("ro", "rw")])
def test_a_store_that_is_full_or_read_only(tmp_path, season, tiny_model, alone, stack, bad, good):
    store = tmp_path / "store"
    mounted(stack, store, "size=64m")
    line = [*BIRDWATCH, "plan", str(season), *OUTPUTS, "--store", str(store), "--model", str(tiny_model)]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    remount(store, bad)
    if bad != "ro":
        # What the plan left, but for a few bytes.
        (store / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(store).free - 4096)))
    done = subprocess.run([*BIRDWATCH, "work", str(store)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "the store cannot be written" in done.stderr
    assert "No space left on device" in done.stderr or "Read-only file system" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    remount(store, good)
    assert subprocess.run([*BIRDWATCH, "work", str(store)], check=False, capture_output=True).returncode == 0
    assert subprocess.run([*BIRDWATCH, "merge", str(store)], cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "d.csv").read_bytes() == alone


class Node:
    """A network namespace with one address, joined to this one by a cable that can be cut."""

    def __init__(self, stack: ExitStack, number: int) -> None:
        self.name = f"bw{os.getpid()}n{number}"
        self.here = f"10.{200 + number}.{os.getpid() % 250}.1"
        self.cable = f"bw{os.getpid() % 100000}v{number}"
        if self._ip("netns", "add", self.name).returncode:
            pytest.skip("network namespaces cannot be made here")
        stack.callback(self._ip, "netns", "del", self.name)
        self._must("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        stack.callback(self._ip, "link", "del", self.cable)
        self._must("addr", "add", f"{self.here}/30", "dev", self.cable)
        self._must("link", "set", self.cable, "up")
        there = self.here.rpartition(".")[0] + ".2"
        for words in (
            ["addr", "add", f"{there}/30", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ):
            self._must("-n", self.name, *words)

    @property
    def prefix(self) -> tuple[str, ...]:
        return "ip", "netns", "exec", self.name

    def cut(self) -> None:
        self._must("link", "set", self.cable, "down")

    def heal(self) -> None:
        self._must("link", "set", self.cable, "up")

    @staticmethod
    def _ip(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)

    def _must(self, *words: str) -> None:
        done = self._ip(*words)
        assert done.returncode == 0, done.stderr


@needs_root
@pytest.mark.skipif(shutil.which("ip") is None, reason="ip is not installed (Debian: iproute2)")
def test_a_node_whose_network_is_cut_loses_to_another_and_its_late_commit_changes_nothing(
    tmp_path, season, tiny_model, alone, stack
):
    node = Node(stack, 1)
    cluster = DaskCluster(stack, tmp_path, node.here)
    distant = cluster.worker(*node.prefix)
    store = tmp_path / "store"
    line = run(season, tiny_model, "--scheduler", cluster.address, "--store", str(store))
    driver = start(stack, *line, cwd=tmp_path)
    until("commit", lambda: commits(store) or driver.poll() is not None)
    # The node goes on scoring, unseen, once it is let go: it is stopped while the others do its work.
    os.killpg(distant.pid, signal.SIGSTOP)
    node.cut()
    cluster.worker()
    _, said = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 0, said
    assert (tmp_path / "d.csv").read_bytes() == alone
    before = {path: path.stat().st_ino for path in commits(store)}
    node.heal()
    os.killpg(distant.pid, signal.SIGCONT)
    until("end of what the node had begun", lambda: not list(store.glob("units/*/.*")))
    assert {path: path.stat().st_ino for path in commits(store)} == before

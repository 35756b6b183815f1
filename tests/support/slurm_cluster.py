"""A Slurm cluster of one node on loopback, from Debian's slurm-wlm: its own configuration, ports, key and folders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIGURATION = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=normal Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class SlurmCluster:
    """`start` it, run commands with `env`, `stop` it at the end."""

    def __init__(self, folder: Path) -> None:
        for program in ("slurmctld", "slurmd", "sbatch", "munged"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed (Debian: slurm-wlm)")
        if os.geteuid() != 0:
            pytest.skip("starting Slurm's daemons needs root")
        self.folder = folder
        self.env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> SlurmCluster:
        folder = self.folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        text = CONFIGURATION.format(
            host=host, controller=free_port(), node=free_port(), folder=folder, cpus=os.cpu_count() or 1
        )
        (folder / "slurm.conf").write_text(text)
        named = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "pid-file", "log-file")]
        munge = ["munged", "--force", "--foreground", f"--socket={folder}/munge.socket", f"--seed-file={folder}/seed"]
        self._run(*munge, *named)
        self._until("munge", lambda: (folder / "munge.socket").exists())
        self._run("slurmctld", "-D", "-i")
        self._run("slurmd", "-D")
        self._until("idle node", lambda: "idle" in self.call("sinfo", "-h").stdout)
        return self

    def call(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, cwd=cwd, capture_output=True, text=True, check=False)

    def wait_for_jobs(self) -> None:
        self._until("end of the jobs", lambda: not self.call("squeue", "-h").stdout.strip())

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, *command: str) -> None:
        with (self.folder / "daemons.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    def _until(self, what: str, condition: Callable[[], bool], seconds: float = 120.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            logs = "\n".join(path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.log"))
            assert time.monotonic() < until, f"no {what} within {seconds:g} s\n{logs}"
            time.sleep(0.1)

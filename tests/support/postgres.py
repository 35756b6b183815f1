"""A real PostgreSQL for tests: Debian's, in a folder of its own, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl."""
    found = shutil.which("pg_config")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """The URL of a database of its own server; skips where PostgreSQL is not installed."""
    folder = binaries()
    if folder is None:
        pytest.skip("needs PostgreSQL (apt-get install postgresql)")
    # PostgreSQL refuses to run as root, and its user cannot look into pytest's folders; a socket's path is short.
    root = os.geteuid() == 0
    place = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if root else []
    if root:
        shutil.chown(place, "postgres", "postgres")
    call: dict[str, Any] = {"check": True, "capture_output": True, "cwd": "/", "timeout": 120}
    data = place / "data"
    try:
        made: list[Any] = [*become, folder / "initdb", "-D", data, "-U", "hub", "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run([*made, "--locale=C"], **call)
        options = f"-c listen_addresses='' -c unix_socket_directories={place} -c fsync=off"
        start: list[Any] = [
            *become,
            folder / "pg_ctl",
            "-D",
            data,
            "-w",
            "-t",
            "60",
            "-l",
            place / "log",
            "-o",
            options,
            "start",
        ]
        subprocess.run(start, **{**call, "capture_output": False}, stdout=subprocess.DEVNULL)
        yield f"postgresql://hub@/postgres?host={place}"
    finally:
        stop: list[Any] = [*become, folder / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, capture_output=True, cwd="/", timeout=60)
        shutil.rmtree(place, ignore_errors=True)

"""The unit under a real systemd: hardened as it ships, with its own user, notification, credentials and watchdog."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
from subscribers import tick, until

from birdwatch.messaging.curve import make_client_keys, make_server_keys
from birdwatch.service.units import Installation

ROOT = Path(__file__).resolve().parents[2]
BOOT = ROOT / "tests" / "support" / "boot_systemd.sh"
NAMESPACES = ["--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]

PROBE = """
export PYTHONPATH=/opt/src:/opt/site PYTHONHOME=/opt/py
program="/opt/py/bin/python3 -m birdwatch"
show() { echo "$1=$(systemctl show -p "$1" --value birdwatch)"; }
systemctl start birdwatch && echo started
show StatusText
main=$(systemctl show -p MainPID --value birdwatch)
grep -E "^(Uid|Groups|CapEff|Seccomp|NoNewPrivs):" /proc/$main/status | tr '\\t' ' '
timeout 60 $program tail tcp://127.0.0.1:5570 --json --count 1 --keys /etc/birdwatch/keys/for-pc
timeout 60 $program replay tcp://127.0.0.1:5571 --since 0 --keys /etc/birdwatch/keys/for-pc | head -1
ls -A /var/lib/private/birdwatch
systemctl reload birdwatch && echo reloaded
kill -STOP $main
until [ "$(systemctl show -p NRestarts --value birdwatch)" = 1 ]; do sleep 0.2; done
until systemctl -q is-active birdwatch; do sleep 0.2; done
echo "came back"
systemctl stop birdwatch
show Result
echo DONE
"""


@pytest.fixture
def boots(tmp_path: Path) -> Path:
    """A folder to boot from; skips where systemd cannot be booted."""
    for program in ("unshare", "systemctl", "ip", "/lib/systemd/systemd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: systemd, util-linux, iproute2)")
    if os.geteuid() != 0:
        pytest.skip("only root can boot systemd in namespaces")
    tried = subprocess.run(
        ["unshare", *NAMESPACES, "sh", "-c", f"mount --make-rprivate / && mount -t cgroup2 cgroup2 {tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if tried.returncode:
        pytest.skip(f"this machine allows no namespaces with mounts: {tried.stderr.strip()}")
    return tmp_path


def write_system(boots: Path, tiny_model: Path) -> None:
    """The installed service, a probe that looks at it, a configuration and keys."""
    for name in ("units", "etc", "out"):
        (boots / name).mkdir()
    place = Installation(
        False,
        ("/opt/py/bin/python3", "-m", "birdwatch"),
        boots / "units",
        Path("/etc/birdwatch/birdwatch.toml"),
        ("keys",),
    )
    for path, text in place.files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    # Only what the place of this checkout makes necessary, and less patience.
    (place.drop_in_folder / "test.conf").write_text(
        "[Service]\nEnvironment=PYTHONPATH=/opt/src:/opt/site PYTHONHOME=/opt/py\nWatchdogSec=8\n"
        "StandardOutput=append:/out/log\nStandardError=append:/out/log\n"
    )
    (boots / "units/probe.target").write_text("[Unit]\nWants=probe.service\n")
    (boots / "units/probe.service").write_text(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/bash /out/probe.sh\n"
        "StandardOutput=append:/out/said\nStandardError=append:/out/said\n"
    )
    (boots / "out/probe.sh").write_text(PROBE)
    shutil.copy(tiny_model, boots / "etc/tiny.onnx")
    (boots / "etc/birdwatch.toml").write_text(
        'station = "garden"\nmodel = "/etc/birdwatch/tiny.onnx"\nprovider = "cpu"\nbind = "tcp://*:5570"\n'
        'replay_bind = "tcp://*:5571"\n'
    )
    make_server_keys(boots / "etc/keys")
    make_client_keys(boots / "etc/keys", "pc")
    packages = next(path for path in map(Path, [*sys.path, *site.getsitepackages()]) if (path / "zmq").is_dir())
    (boots / "binds").write_text(f"{sys.base_prefix} /opt/py\n{ROOT} /opt/src\n{packages} /opt/site\n")


@pytest.mark.slow
def test_the_unit_runs_is_watched_and_comes_back(boots: Path, tiny_model: Path) -> None:
    write_system(boots, tiny_model)
    said = boots / "out/said"
    with subprocess.Popen(
        ["unshare", "--kill-child=KILL", *NAMESPACES, str(BOOT), str(boots)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            text = ""

            def look() -> None:
                nonlocal text
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                text = said.read_text() if said.exists() else ""
                tick()

            until(lambda: "DONE\n" in text, look, deadline_s=150.0)
        finally:
            process.kill()
    log = (boots / "out/log").read_text() if (boots / "out/log").exists() else ""
    lines = text.splitlines()
    assert lines[0] == "started", (text, log)
    assert "StatusText=waiting-device" in text or "StatusText=starting" in text
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("Uid:", "Groups:", "CapEff:", "Seccomp:")))
    assert int(fields["Uid"].split()[0]) >= 61184  # systemd's range for such users
    assert int(fields["CapEff"], 16) == 0
    assert fields["Seccomp"].strip() == "2"
    assert '"state":"waiting-device"' in text
    assert "starting, default, CPUExecutionProvider" in text
    for line in ("journal.db", "reloaded", "came back", "Result=success"):
        assert line in lines, (text, log)

"""A listening station whose configuration becomes anything at all: it is refused, said, and nothing else happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from listening import Running

pytestmark = pytest.mark.slow


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "brackets": text("threshold = " + "[" * 100_000),
    "braces": text("a = " + "{a=" * 50_000),
    "a number of 400 digits": text("threshold = " + "9" * 400),
    "a number of 5000 digits": text("threshold = " + "9" * 5000),
    "a deep key": text("threshold" + ".a" * 20_000 + " = 1\n"),
    "NUL": text('save_clips = "a\\u0000b"\n'),
    "NUL in a name": text('[source."a\\u0000"]\nfile = "a.wav"\n'),
    "nobody's home": text('journal = "~nobody-at-all/x"\n'),
    "twenty thousand mistakes": text("".join(f"[class.c{number}]\nthreshold = 2\n" for number in range(20_000))),
    "forty thousand unknown names": text("".join(f"thresholt{number} = 2\n" for number in range(40_000))),
    "a device as species list": text('species = "/dev/zero"\n'),
    "a pipe as species list": lambda path: (os.mkfifo(f"{path}.fifo"), path.write_text(f'species = "{path}.fifo"\n')),
    "half of it absurd": text("threshold = 0.9\nclips_max_gb = 1e308\n"),
    "too much": text("# " + "x" * 2_000_000),
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a pipe that nobody writes to": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
    "a link to itself": lambda path: path.symlink_to(path),
}


def removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_no_configuration_ends_or_holds_up_a_station_that_listens(tmp_path, tiny_model, song):
    station = Running(tmp_path, tiny_model)
    try:
        before = station.next("status")["configuration"]
        for reads, (name, make) in enumerate(HOSTILE.items(), before["reads"] + 1):
            removed(station.config)
            make(station.config)
            station.process.send_signal(signal.SIGHUP)
            now = station.next("status")["configuration"]
            while now["reads"] < reads:
                now = station.next("status")["configuration"]
            assert now["refused"], name
            assert len(now["refused"]) <= 2000, name
            assert now["thresholds"] == before["thresholds"], name
        removed(station.config)
        station.config.write_text("threshold = 0.02\n")
        station.process.send_signal(signal.SIGHUP)
        station.wait_log("configuration reloaded")
        station.feed(song[: 6 * 32000])
        assert station.next("detection")["threshold"] == 0.02
        assert "Traceback" not in station.log.read_text()
        station.process.send_signal(signal.SIGTERM)
        assert station.next("status", state="stopping")
        assert station.process.wait(30) == 0
    finally:
        station.close()

"""A run over an archive of hostile names, dates, links and pipes scores what can be scored and names the rest."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile


@pytest.mark.slow
def test_no_name_takes_down_a_run(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    good = folder / "20240513_043000.wav"
    soundfile.write(good, np.random.default_rng(1).normal(0, 0.1, 48000).astype(np.float32), 32000)
    odd = [os.fsdecode(b"caf\xe9.wav"), "00010101_000000.wav", "99991231_235959.wav", "30240513_043000.wav"]
    odd += ["n" * 240 + ".wav", "=1+1.wav", "new\nline.wav"]
    for name in odd:
        (folder / name).write_bytes(good.read_bytes())
    os.mkfifo(folder / "pipe.wav")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    (folder / "around").symlink_to(folder, target_is_directory=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.wav"))
    rate = bytearray(good.read_bytes())
    rate[24:28] = (1).to_bytes(4, "little")
    (folder / "rate1.wav").write_bytes(rate)
    rate[24:28] = (2**31 + 5).to_bytes(4, "little")
    (folder / "rate_over.wav").write_bytes(rate)

    command = [sys.executable, "-m", "birdwatch", "run", str(folder), "--model", str(tiny_model)]
    command += ["--out", "all.parquet", "--out", "raven/", "--format", "parquet", "--format", "raven", "--resume"]
    for _ in range(2):  # the second time everything is resumed
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=120, check=False)
        text = done.stderr.decode("utf-8", "replace")
        assert done.returncode == 3, text
        assert "Traceback" not in text
        for said in ("a link to a folder", "no ordinary file"):
            assert said in text
        with (tmp_path / "all.parquet.errors.csv").open(newline="", encoding="utf-8") as stream:
            failed = {Path(row["recording"]).name: row["reason"] for row in csv.DictReader(stream)}
        assert set(failed) == {"rate1.wav", "rate_over.wav"}
        assert all("header is damaged" in reason for reason in failed.values())
        metadata = pyarrow.parquet.read_schema(tmp_path / "all.parquet").metadata
        assert metadata is not None
        (told,) = [value for key, value in metadata.items() if b"which is ignored" in value]
        for year in ("0001", "3024", "9999"):
            assert f"has a start in the year {year}, which is ignored".encode() in told
        assert len(list((tmp_path / "raven").glob("*.txt"))) == len(odd) + 1

"""The small recordings that once gave wrong results, each with the right one; they skip where the folder is not."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from birdwatch.audio.file import AudioFile
from birdwatch.audio.timestamps import name_start, utc_text
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import look_at

STARTS = {
    "S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.34567+78.98102.wav": "2024-08-14T23:11:56.982Z",
    "20161108T075126.123456-0430_x.wav": "2016-11-08T12:21:26.123Z",
    "G024_V1_C2065_U1_20210510_180000Z.flac": "2021-05-10T18:00:00.000Z",
    "WOO_20170611_100000+1000.wav": "2017-06-11T00:00:00.000Z",
    "20151212_123456Z.mp3": "2015-12-12T12:34:56.000Z",
    "2024-02-24-birdnet-16:19:37.wav": "2024-02-24T16:19:37.000Z",
    "5B07C752.WAV": "2018-05-25T08:20:34.000Z",
    "20241027_233000.wav": "2024-10-27T23:30:00.000Z",
}


def test_every_listed_name_gives_its_start(shared_cases: Path) -> None:
    for name in (shared_cases / "names.txt").read_text().split():
        found = name_start(Path(name).stem, UTC)
        assert found is not None
        assert utc_text(found) == STARTS[name]


@pytest.mark.parametrize(
    "name",
    [
        "wav_guano_year_0001.wav",
        "wav_guano_year_9999.wav",
        "attacks/guano_9999.wav",
        "attacks/30240513_043000.wav",
        "attacks/99991231_235959.wav",
    ],
)
def test_an_impossible_year_is_named_and_costs_only_the_start(shared_cases: Path, name: str) -> None:
    ((job,),) = look_at(find_inputs([str(shared_cases / name)]))
    assert (job.fault, job.start_utc_ns) == (None, None)
    assert "which is ignored" in job.warning
    assert next(AudioFile(shared_cases / name).blocks()).start_frame == 0


def test_plain_small_recordings_are_read_whole(shared_cases: Path) -> None:
    assert AudioFile(shared_cases / "stereo.wav").channels == 2
    for name in ("1s.wav", "stereo.wav", "attacks/good.wav"):
        audio = AudioFile(shared_cases / name)
        assert sum(len(block.samples) for block in audio.blocks()) == audio.frames > 0
        assert audio.warnings == []


def test_a_piped_flac_is_read_whole(shared_cases: Path) -> None:
    audio = AudioFile(shared_cases / "attacks" / "piped.flac")
    frames = sum(len(block.samples) for block in audio.blocks())
    assert (audio.duration_s, audio.frames, audio.warnings) == (0.0, frames, [])
    assert frames > 0

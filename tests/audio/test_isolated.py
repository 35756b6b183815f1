"""A codec that crashes or hangs costs one recording; what other processes decode is the same to the bit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from birdwatch.audio.file import AudioFile
from birdwatch.audio.isolated import Decoders, IsolatedAudio
from birdwatch.errors import DecodeError

pytestmark = pytest.mark.slow

FRAGILE = (sys.executable, str(Path(__file__).resolve().parents[1] / "support" / "fragile_decoder.py"))


@pytest.fixture
def ogg(tmp_path: Path, song: NDArray[np.float32]) -> Path:
    path = tmp_path / "20240513_043000.ogg"
    soundfile.write(path, np.stack([song, song / 2], axis=1), 32000)
    return path


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    with Decoders(2, command=FRAGILE, hang_s=3.0) as made:
        yield made


@pytest.mark.parametrize("channel", [None, 1])
def test_it_is_the_same_recording_as_in_this_process(ogg: Path, channel: int | None) -> None:
    here = AudioFile(ogg, channel=channel)
    with Decoders(1) as decoders:
        there = decoders.open(ogg, channel=channel)
        assert isinstance(there, IsolatedAudio)
        assert (there.rate_hz, there.channels, there.duration_s) == (here.rate_hz, here.channels, here.duration_s)
        assert there.start_utc_ns() == here.start_utc_ns() == 1715574600 * 10**9
        for _ in range(2):
            for one, other in zip(there.blocks(), here.blocks(), strict=True):
                assert one.start_frame == other.start_frame
                np.testing.assert_array_equal(one.samples, other.samples)


def test_plain_samples_need_no_other_process(tmp_path: Path, decoders: Decoders) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(1000, np.float32), 32000)
    assert isinstance(decoders.open(tmp_path / "a.wav"), AudioFile)
    with pytest.raises(DecodeError, match="no such file"):
        decoders.open(tmp_path / "none.ogg")


def test_what_is_wrong_is_said_in_the_same_words(tmp_path: Path, ogg: Path, decoders: Decoders) -> None:
    (tmp_path / "text.ogg").write_text("no audio")
    with pytest.raises(DecodeError, match="is not audio that can be read") as caught:
        decoders.open(tmp_path / "text.ogg")
    assert caught.value.path == tmp_path / "text.ogg"
    ogg.write_bytes(ogg.read_bytes()[:-3000])
    assert len(list(decoders.open(ogg).blocks())) > 0


@pytest.mark.parametrize(("name", "said"), [("crash", r"crashed \(SIGSEGV\)"), ("hang", "has not answered for 3 s")])
def test_a_codec_that_crashes_or_hangs_costs_its_recording_only(
    tmp_path: Path, ogg: Path, decoders: Decoders, name: str, said: str
) -> None:
    bad = tmp_path / f"{name}.ogg"
    bad.write_bytes(ogg.read_bytes())
    for _ in range(3):  # more often than there are workers
        with pytest.raises(DecodeError, match=said):
            decoders.open(bad)
    assert sum(len(block.samples) for block in decoders.open(ogg).blocks()) == 13 * 32000


def test_a_crash_in_the_middle_ends_that_recording(tmp_path: Path, ogg: Path, decoders: Decoders) -> None:
    late = tmp_path / "late.ogg"
    late.write_bytes(ogg.read_bytes())
    with pytest.raises(DecodeError, match=r"crashed \(SIGABRT\)"):
        list(decoders.open(late).blocks())
    assert len(list(decoders.open(ogg).blocks())) > 0


def test_a_recording_that_is_given_up_in_the_middle_leaves_no_answer_behind(ogg: Path, decoders: Decoders) -> None:
    blocks = decoders.open(ogg).blocks()
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    whole = np.concatenate([block.samples for block in decoders.open(ogg).blocks()])
    np.testing.assert_array_equal(whole, np.concatenate([block.samples for block in AudioFile(ogg).blocks()]))


def test_a_stretch_is_decoded_by_the_other_process(tmp_path: Path, song: NDArray[np.float32]) -> None:
    soundfile.write(tmp_path / "a.flac", song, 32000)
    whole = np.concatenate([block.samples for block in AudioFile(tmp_path / "a.flac").blocks()])
    with Decoders(1) as decoders:
        audio = decoders.open(tmp_path / "a.flac")
        assert isinstance(audio, IsolatedAudio)
        assert audio.exact_frames == len(song)
        found = np.concatenate([block.samples for block in audio.stretch(1001, 99999)])
        np.testing.assert_array_equal(found, whole[1001:99999])
        # The length that it claims is checked, too.
        (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:-5000])
        with pytest.raises(DecodeError, match="does not hold from"):
            list(audio.stretch(99999, len(song)))


def test_closing_does_not_wait_for_an_answer_that_somebody_holds(ogg: Path) -> None:
    """A stopped run's traceback holds one; its process went on, and so did the run."""
    made = Decoders(1)
    held = made.open(ogg).blocks()
    next(held)
    closing = threading.Thread(target=made.close, daemon=True)
    closing.start()
    closing.join(timeout=30)
    assert not closing.is_alive()
    held.close()  # type: ignore[attr-defined]
    # And it may be used again.
    with made:
        count = sum(len(block.samples) for block in made.open(ogg).blocks())
    assert count == sum(len(block.samples) for block in AudioFile(ogg).blocks())

from __future__ import annotations

import numpy as np
import pytest
import reference
import soundfile
import soxr
from tiny_model import manifest

import birdwatch
from birdwatch.audio.types import AudioBlock
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.events import EventRule
from birdwatch.scores.pipeline import HELD_FRAMES, WindowStream, score_recording
from birdwatch.scores.policy import ScoringPolicy

WINDOW, HOP = 160000, 80000
POLICY = ScoringPolicy((EventRule(0.5, 0.5),) * 3)


def write(path, samples, rate_hz=32000, **options):
    soundfile.write(path, samples, rate_hz, **options)
    return path


@pytest.mark.slow
def test_a_file_scores_as_an_independent_pipeline_says(tmp_path, tiny_model, song):
    path = write(tmp_path / "song.wav", song, subtype="FLOAT")
    result = birdwatch.analyze(path, birdwatch.load_model(tiny_model))
    starts = reference.window_starts(len(song), WINDOW, HOP, 16000)
    windows = [np.pad(song[s : s + n], (0, WINDOW - n)) for s, n in starts]
    expected = reference.score_windows(tiny_model, windows)
    assert [(w.start_frame, w.valid_frames) for w in result.windows] == starts
    np.testing.assert_allclose(np.stack([w.scores for w in result.windows]), expected, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(result.scores, np.max([w.scores for w in result.windows], axis=0))
    assert (result.recording, result.rate_hz, result.end_frame) == ("song", 32000, len(song))
    assert result.duration_s == pytest.approx(13.0)


def test_a_recording_at_another_rate_in_stereo_scores_as_the_reference_does(tmp_path, tiny_model, song):
    high = soxr.resample(song, 32000, 44100).astype(np.float32)
    stereo = np.stack([high * 1.2, high * 0.8], axis=1)
    path = write(tmp_path / "song.wav", stereo, 44100, subtype="FLOAT")
    result = birdwatch.analyze(path, birdwatch.load_model(tiny_model), hop_s=5)
    mono = soxr.resample(stereo.mean(axis=1), 44100, 32000)
    starts = reference.window_starts(len(mono), WINDOW, WINDOW, 16000)
    expected = reference.score_windows(tiny_model, [np.pad(mono[s : s + n], (0, WINDOW - n)) for s, n in starts])
    np.testing.assert_allclose(np.stack([w.scores for w in result.windows]), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("sizes", [[1], [999], [44100], [65536, 1, 30000]])
def test_chopped_input_gives_the_same_scores_to_the_bit(tiny_model, song, sizes):
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    short = song[: 6 * 32000]

    def blocks(lengths):
        at, i = 0, 0
        while at < len(short):
            # A block of one frame after another would be a million blocks: the first hundred show it.
            n = lengths[i % len(lengths)] if i < 100 else 50000
            yield AudioBlock(short[at : at + n], at, 44100)
            at, i = at + n, i + 1

    whole = score_recording("a", blocks([10**9]), classifier, POLICY, rate_hz=44100)
    chopped = score_recording("a", blocks(sizes), classifier, POLICY, rate_hz=44100)
    assert [w.start_frame for w in whole.windows] == [w.start_frame for w in chopped.windows]
    np.testing.assert_array_equal([w.scores for w in whole.windows], [w.scores for w in chopped.windows])


def test_a_tail_too_short_to_score_is_accounted_for(tiny_model, song):
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    frames = 2 * WINDOW + 9000
    result = score_recording("a", [AudioBlock(song[:frames], 0, 32000)], classifier, POLICY, rate_hz=32000, hop_s=5)
    assert len(result.windows) == 2
    assert result.unscored_frames == 9000


def test_an_error_while_decoding_reaches_the_caller(tiny_model, song):
    def broken():
        yield AudioBlock(song[:WINDOW], 0, 32000)
        raise birdwatch_error

    from birdwatch.errors import DecodeError

    birdwatch_error = DecodeError("gone")
    with pytest.raises(DecodeError, match="gone"):
        score_recording("a", broken(), OnnxClassifier(tiny_model), POLICY, rate_hz=32000)


@pytest.mark.parametrize("hop_s", [None, 0.7])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 32000, 44100, 48000, 96000])
def test_a_stream_says_how_much_audio_completes_its_next_window(rate_hz, hop_s):
    stream = WindowStream(rate_hz, manifest(), hop_s=hop_s)
    rng = np.random.default_rng(rate_hz)
    end = 0

    def push(frames: int) -> int:
        nonlocal end
        block = AudioBlock(rng.normal(0, 0.1, frames).astype(np.float32), end, rate_hz)
        end = block.end_frame
        return len(stream.push(block))

    for _ in range(12):
        for _ in range(3):
            # Less than what is surely lacking, in parts of any length.
            surely = int(stream.lacking_s * rate_hz) - 2 * HELD_FRAMES
            if surely > 0:
                assert push(int(rng.integers(surely)) + 1) == 0
        assert push(int(np.ceil(stream.lacking_s * rate_hz))) == 1
    # What is missing begins windows anew.
    stream.finish()
    end += rate_hz
    assert push(1) == 0
    assert stream.lacking_s == pytest.approx(5.0, abs=HELD_FRAMES / rate_hz + 1e-3)

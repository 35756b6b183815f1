"""The live core: the same scores as a file gives, every frame accounted for, no window over a hole."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeScorer
from hypothesis import given, settings
from hypothesis import strategies as st
from listener_bench import RATE_HZ, RULE, Bench
from tiny_model import manifest

from birdwatch.audio.types import AudioBlock
from birdwatch.live.results import EndedEvent, Fault, Found
from birdwatch.live.source import Chunk
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.pipeline import score_recording
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.types import RecordingMaximum


def test_a_microphone_gives_the_scores_that_a_file_gives(tiny_model, song, monkeypatch):
    classifier = OnnxClassifier(tiny_model, provider="cpu", workers=1)
    native = np.repeat(song, 2)[: len(song) * 3 // 2]  # any audio will do, said to be at 48 kHz
    expected = score_recording(
        "song", [AudioBlock(native, 0, 48000)], classifier, ScoringPolicy((RULE,) * 3), rate_hz=48000, hop_s=2.5
    )
    scored = []
    score = classifier.score

    def spy(samples):
        scored.extend(score(samples))
        return np.array(scored[-len(samples) :])

    monkeypatch.setattr(classifier, "score", spy)
    bench = Bench(classifier, rate_hz=48000, channels=2)
    bench.source.make = lambda n: np.where(n < len(native), native[np.minimum(n, len(native) - 1)], 0)
    length = len(native) // 4800 * 4800
    bench.push(length / 48000)
    rest = native[length:]
    bench.clock.advance(len(rest) / 48000)
    bench.results += bench.listener.push(Chunk(np.stack([rest, rest], 1), 48000, bench.clock.now()))
    bench.finish()
    (recording,) = bench.of(RecordingMaximum)
    assert [found.end_frame for found in bench.of(Found)] == [w.start_frame + w.valid_frames for w in expected.windows]
    for live, file in zip(scored, expected.windows, strict=True):
        assert live.tobytes() == file.scores.tobytes()
    assert recording.windows == len(expected.windows)
    assert recording.scores.tobytes() == expected.scores.tobytes()
    bench.check()
    assert bench.listener.accounting.pending == 0


def test_detections_events_and_minutes_come_out_with_their_frames():
    bench = Bench(recording_s=60)
    bench.source.make = lambda n: np.where((n >= 20 * RATE_HZ) & (n < 30 * RATE_HZ), 0.8, 0.05) * np.sin(n * 0.3)
    bench.push(130).finish()
    detections = [d for found in bench.of(Found) for d, _ in found.detections]
    assert [d.start_frame / RATE_HZ for d in detections] == [17.5, 20, 22.5, 25, 27.5]
    ((event, number),) = [(e.event, e.number) for e in bench.of(EndedEvent)]
    assert (event.start_frame / RATE_HZ, event.end_frame / RATE_HZ, event.windows) == (17.5, 32.5, 5)
    assert {n for found in bench.of(Found) for _, n in found.detections} == {number}
    recordings = bench.of(RecordingMaximum)
    assert [(r.start_frame / RATE_HZ, r.end_frame / RATE_HZ) for r in recordings] == [(0, 60), (60, 120), (120, 130)]
    assert [r.windows for r in recordings] == [24, 24, 3]
    assert recordings[0].scores[0] > 0.7
    assert bench.listener.detections == 5
    bench.check()


def test_digital_silence_is_counted_and_never_sent_to_the_network():
    bench = Bench()
    bench.source.make = lambda n: np.where(n < 10 * RATE_HZ, 0.1 * np.sin(n * 0.3), 0)
    bench.push(40).finish()
    assert bench.scorer.calls == 4  # those that start before 10 s
    assert bench.listener.accounting.analysed == 12.5 * RATE_HZ
    assert bench.listener.accounting.skipped_silent == 27.5 * RATE_HZ
    assert bench.listener.level.flags == ("digital-zero",)
    bench.check()


def test_nan_from_the_input_is_dropped_counted_and_never_scored():
    bench = Bench()  # the fake network asserts that what it gets is finite
    bench.source.make = lambda n: np.where(n == 12 * RATE_HZ + 5, np.nan, np.sin(n * 0.3))
    bench.push(30).finish()
    assert bench.listener.invalid_frames == 1
    assert bench.listener.accounting.dropped == 1
    assert bench.listener.accounting.pending == 0
    bench.check()


def test_a_network_that_fails_costs_its_windows_and_nothing_else():
    bench = Bench()
    bench.push(10)
    bench.scorer.fault = "tiny.onnx answered with NaN or infinity on CPUExecutionProvider"
    bench.push(10)
    bench.scorer.fault = None
    bench.push(10).finish()
    assert "NaN" in bench.of(Fault)[-1].text
    assert bench.listener.dropped_windows == 4
    # Overlapping windows see most of what the failed ones held: 2.5 s from the first, not the last.
    assert bench.listener.accounting.dropped == pytest.approx(10 * RATE_HZ, abs=2.5 * RATE_HZ)
    assert bench.listener.accounting.pending == 0
    bench.check()


def test_one_bad_window_of_a_batch_costs_only_itself():
    def rule(samples):
        return [0.9, 0.0, 0.0]

    bench = Bench(FakeScorer(manifest(), rule))
    bench.push(15, score=False)
    refuse = iter([True, False, False, True, False, False])

    def before(windows):
        bench.scorer.fault = "no" if windows > 1 or next(refuse) else None

    bench.scorer.before_call = before
    waiting = bench.listener.waiting
    assert waiting == 5
    bench.results += bench.listener.score()
    assert len(bench.of(Found)) == 2
    bench.scorer.before_call = lambda windows: setattr(bench.scorer, "fault", None)
    bench.finish()
    bench.check()


def test_what_earlier_windows_scored_in_parts_is_not_lost_with_a_later_one():
    bench = Bench(FakeScorer(manifest(segments=2, segments_output="segments"), lambda samples: [0.9, 0.0, 0.0]))
    refuse = iter([False, True, False, False, False])
    bench.scorer.before_call = lambda windows: setattr(bench.scorer, "fault", "no" if next(refuse) else None)
    bench.push(15).finish()
    assert [fault.kind for fault in bench.of(Fault)] == ["inference"]
    assert [found.end_frame / RATE_HZ for found in bench.of(Found)] == [2.5, 5.0, 7.5, 10.0, 12.5, 15.0]
    assert (bench.listener.windows, bench.listener.dropped_windows) == (4, 1)
    assert bench.listener.accounting.dropped == 0
    bench.check()


def test_slower_than_real_time_drops_the_oldest_windows_in_bounded_memory():
    bench = Bench(max_pending=4)
    bench.push(60, score=False)
    assert bench.listener.waiting == 4
    assert bench.listener.dropped_windows == 19
    bench.finish()
    accounting = bench.listener.accounting
    assert [found.end_frame / RATE_HZ for found in bench.of(Found)] == [52.5, 55, 57.5, 60]
    # What the last dropped window shares with the first scored one is analysed.
    assert (accounting.dropped, accounting.analysed) == (47.5 * RATE_HZ, 12.5 * RATE_HZ)
    assert accounting.pending == 0
    bench.check()


faults = st.lists(
    st.tuples(
        st.sampled_from(["run", "run", "lost", "queue-full", "suspend", "overflow", "nan", "rate", "slow", "zero"]),
        st.integers(1, 40),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(faults, st.sampled_from([22050, 32000, 44100, 48000]))
def test_every_second_is_accounted_for_whatever_happens(steps, rate_hz):
    bench = Bench(rate_hz=rate_hz, max_pending=3)
    bench.push(0.3)
    bad = [False, False]
    bench.source.make = lambda n: np.full(len(n), np.nan) if bad[0] else 0 * n if bad[1] else 0.1 * np.sin(n * 0.3)
    for kind, tenths in steps:
        seconds = tenths / 10
        match kind:
            case "lost":
                bench.listener.interrupt("device-lost")
                bench.clock.advance(seconds)
                bench.source.start()
            case "queue-full":
                bench.source.lost_frames = round(seconds * bench.source.rate_hz)
                bench.source.lose(seconds)
            case "suspend":
                bench.clock.suspend(seconds + 0.3)
            case "overflow":
                bench.source.overflow = True
                bench.source.lose(seconds)
            case "rate":
                bench.listener.interrupt("stall")
                bench.source.rate_hz = 48000 if bench.source.rate_hz == 32000 else 32000
            case "nan" | "zero":
                bad[kind == "zero"] = True
                bench.push(seconds)
                bad[:] = [False, False]
        bench.push(seconds, score=kind != "slow")
        bench.check()
    bench.finish()
    bench.check()
    assert bench.listener.accounting.pending == 0

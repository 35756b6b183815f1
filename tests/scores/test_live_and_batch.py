"""The same audio gives the same windows, scores, detections and events live and in a batch, to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import manifest

from birdwatch.audio.types import AudioBlock, FloatArray, Window
from birdwatch.live.listener import Listener
from birdwatch.live.results import EndedEvent, Found
from birdwatch.live.source import Chunk, Stamp
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.species_filter import SpeciesFilter
from birdwatch.model.types import WindowScores
from birdwatch.scores.events import EventRule
from birdwatch.scores.pipeline import score_recording
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.types import RecordingMaximum

RATE_HZ = 320
MANIFESTS = {
    segments: manifest(
        rate_hz=RATE_HZ,
        window_frames=5 * RATE_HZ,
        frontend=None,
        input="waveform",
        segments=segments,
        segments_output="segments" if segments > 1 else None,
    )
    for segments in (1, 2, 5)
}
CLASSES = len(MANIFESTS[1].labels)


class Network:
    """Scores by simple statistics of the samples, and remembers what it was given; NaN must never reach it."""

    sha256 = "0" * 64
    provider = "CPUExecutionProvider"
    setback = None
    batch_size = 3

    def __init__(self, segments: int) -> None:
        self.manifest = MANIFESTS[segments]
        self.given: list[bytes] = []

    def score(self, samples: FloatArray) -> FloatArray:
        assert np.isfinite(samples).all()
        self.given += [row.tobytes() for row in samples]
        power = np.abs(samples).mean(axis=1)
        turns = np.abs(np.diff(samples, axis=1)).mean(axis=1)
        return np.stack([power, turns, np.abs(samples[:, ::7]).max(axis=1)], axis=1).clip(0, 1).astype(np.float32)

    def score_rows(self, samples: FloatArray) -> FloatArray:
        whole = self.score(samples)
        if self.manifest.segments == 1:
            return whole[:, None]
        parts = np.split(samples, self.manifest.segments, axis=1)
        # A part's scores depend on the rest of its window, as those of attention over time do.
        return np.stack([(whole + np.abs(part).mean(axis=1)[:, None]) / 2 for part in parts], axis=1)

    def score_segments(self, windows: Iterable[Window], *, in_flight: int) -> Iterator[tuple[Window, FloatArray]]:
        for window in windows:
            yield window, self.score_rows(window.samples[None])[0]

    workers = 1

    def score_windows(self, windows: Iterable[Window], *, in_flight: int | None = None) -> Iterator[WindowScores]:
        for window in windows:
            yield WindowScores(window.start_frame, window.valid_frames, self.score(window.samples[None])[0])


def audio_of(parts: list[tuple[str, int]], seed: int) -> FloatArray:
    """Stretches of noise, song, silence, one constant value and NaN, lengths in frames."""
    rng = np.random.default_rng(seed)
    made = []
    for kind, frames in parts:
        t = np.arange(frames)
        made.append(
            {
                "noise": rng.normal(0, 0.2, frames),
                "song": np.sin(t * rng.uniform(0.1, 1.5)) * rng.uniform(0.2, 0.9),
                "silence": np.zeros(frames),
                "constant": np.full(frames, 0.25),
                "nan": np.where(rng.random(frames) < 0.7, np.nan, 0.1),
                "infinity": np.full(frames, np.inf),
            }[kind]
        )
    return np.concatenate([np.zeros(0), *made]).astype(np.float32)


def cut(samples: FloatArray, sizes: list[int]) -> Iterator[tuple[int, FloatArray]]:
    at = number = 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        yield at, samples[at : at + size]
        at, number = at + size, number + 1


def live(
    samples: FloatArray, rate_hz: int, policy: ScoringPolicy, hop_s: float, sizes: list[int], segments: int = 1
) -> dict[str, Any]:
    network = Network(segments)

    def stamp(frame: int) -> Stamp:
        ns = frame * 1_000_000_000 // rate_hz
        return Stamp(ns, ns, ns)

    listener = Listener(network, policy, stamp(0), hop_s=hop_s, recording="x", max_pending=10**9)
    results: list[Any] = []
    for at, part in cut(samples, sizes):
        results += listener.push(Chunk(part[:, None], rate_hz, stamp(at + len(part))))
        while at % 3 and listener.waiting:
            results += listener.score()
    results += listener.finish()
    found = [result for result in results if isinstance(result, Found)]
    maxima = [result for result in results if isinstance(result, RecordingMaximum)]
    return {
        "windows": network.given,
        "ends": [result.end_frame for result in found],
        "detections": [detection for result in found for detection, _ in result.detections],
        "events": [result.event for result in results if isinstance(result, EndedEvent)],
        "maximum": maxima[0].scores.tobytes() if maxima else np.zeros(CLASSES, np.float32).tobytes(),
        "silent": listener.accounting.skipped_silent,
        "unscored": listener.accounting.dropped,
        "end": listener.accounting.end_frame,
    }


def batch(
    samples: FloatArray, rate_hz: int, policy: ScoringPolicy, hop_s: float, sizes: list[int], segments: int = 1
) -> dict[str, Any]:
    network = Network(segments)
    blocks = (AudioBlock(part, at, rate_hz) for at, part in cut(samples, sizes))
    result = score_recording("x", blocks, cast(OnnxClassifier, network), policy, rate_hz=rate_hz, hop_s=hop_s)
    return {
        "windows": network.given,
        "ends": [window.start_frame + window.valid_frames for window in result.windows],
        "detections": list(result.detections),
        "events": list(result.events),
        "maximum": result.scores.tobytes(),
        "silent": result.silent_frames,
        "unscored": result.unscored_frames,
        "end": result.end_frame,
    }


parts_of = st.lists(
    st.tuples(
        st.sampled_from(["noise", "song", "silence", "constant", "nan", "infinity"]),
        st.one_of(st.integers(1, 40), st.integers(300, 4000)),
    ),
    max_size=7,
)
rules_of = st.builds(
    lambda on, share, least, bridge: EventRule(on, on * share, least, bridge),
    st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    st.sampled_from([0.5, 1.0]),
    st.integers(1, 3),
    st.sampled_from([0, RATE_HZ, 5 * RATE_HZ]),
)
filters_of = st.one_of(st.none(), st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    parts=parts_of,
    seed=st.integers(0, 99),
    rate_hz=st.sampled_from([RATE_HZ, 441, 480, 160]),
    rules=st.lists(rules_of, min_size=CLASSES, max_size=CLASSES),
    allowed=filters_of,
    hop_s=st.sampled_from([0.5, 2.5, 3.1, 5.0]),
    live_sizes=st.lists(st.integers(7, 900), min_size=1, max_size=4),
    batch_sizes=st.lists(st.integers(7, 5000), min_size=1, max_size=4),
    segments=st.sampled_from([1, 2, 5]),
)
def test_live_and_batch_agree_to_the_last_bit(
    parts: list[tuple[str, int]],
    seed: int,
    rate_hz: int,
    rules: list[EventRule],
    allowed: list[bool] | None,
    hop_s: float,
    live_sizes: list[int],
    batch_sizes: list[int],
    segments: int,
) -> None:
    samples = audio_of(parts, seed)
    species = None if allowed is None else SpeciesFilter(np.array(allowed), "a list")
    policy = ScoringPolicy(tuple(rules), species)
    one = live(samples, rate_hz, policy, hop_s, live_sizes, segments)
    other = batch(samples, rate_hz, policy, hop_s, batch_sizes, segments)
    assert one["windows"] == other["windows"]
    for key in ("ends", "detections", "events", "maximum", "silent"):
        assert one[key] == other[key], key
    # The resampler's last block may end a frame beside the rounded length of the audio.
    assert abs(one["end"] - other["end"]) <= 1
    assert abs(one["unscored"] - other["unscored"]) <= 1


def test_noise_and_digital_silence_as_once_reported() -> None:
    """Ten seconds of noise and ten of zeros: four windows hold noise, both ways."""
    noise: npt.NDArray[np.float32] = np.random.default_rng(1).normal(0, 0.1, 10 * RATE_HZ).astype(np.float32)
    samples = np.concatenate([noise, np.zeros(10 * RATE_HZ, np.float32)])
    policy = ScoringPolicy((EventRule(0.05, 0.05),) * CLASSES)
    one, other = live(samples, RATE_HZ, policy, 2.5, [320]), batch(samples, RATE_HZ, policy, 2.5, [10**6])
    assert len(one["windows"]) == len(other["windows"]) == 4
    assert one["silent"] == other["silent"] == 20 * RATE_HZ - round(12.5 * RATE_HZ)
    assert [dataclasses.astuple(event) for event in one["events"]] == [
        dataclasses.astuple(event) for event in other["events"]
    ]

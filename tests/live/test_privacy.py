"""Where a person speaks the audio is blanked, the clip is not saved, and with drop-all nothing is published."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from fakes import FakeClock, FakeOutlet, FakeScorer
from onnx import TensorProto, helper
from tiny_model import manifest

from birdwatch.audio.types import AudioBlock
from birdwatch.cli.model_add_silero import model_add_silero
from birdwatch.convert.silero import INSIDE
from birdwatch.errors import ModelError
from birdwatch.live.audio_outputs import AudioOutputs
from birdwatch.live.clips import Clips
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.privacy import AFTER_S, BEFORE_S, DELAY_S, SpeechGate
from birdwatch.live.source import Chunk
from birdwatch.model.voice_activity import VoiceActivity, voice_model_path
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

RATE_HZ = 16000


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A stand-in with Silero's inputs and outputs: what is loud is speech."""
    nodes = [
        helper.make_node("Abs", ["input"], ["absolute"]),
        helper.make_node("ReduceMax", ["absolute"], ["speech_probs"], axes=[1], keepdims=0),
        helper.make_node("Identity", ["h"], ["hn"]),
        helper.make_node("Identity", ["c"], ["cn"]),
    ]
    state = [1, 1, 128]
    graph = helper.make_graph(
        nodes,
        "voice",
        [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 576]),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, state),
            helper.make_tensor_value_info("c", TensorProto.FLOAT, state),
        ],
        [
            helper.make_tensor_value_info("speech_probs", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("hn", TensorProto.FLOAT, state),
            helper.make_tensor_value_info("cn", TensorProto.FLOAT, state),
        ],
    )
    path: Path = tmp_path_factory.mktemp("voice") / "silero.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), path)
    return path


def scene(seconds: float, *speech: tuple[float, float]) -> np.ndarray:
    n = np.arange(round(seconds * RATE_HZ))
    loud = np.zeros(len(n), bool)
    for start, end in speech:
        loud |= (n >= start * RATE_HZ) & (n < end * RATE_HZ)
    return (np.where(loud, 0.8, 0.1) * np.sin(n * 0.3)).astype(np.float32)


def through(gate: SpeechGate, samples: np.ndarray, *, block: int = 400, start: int = 0) -> np.ndarray:
    out = []
    for begin in range(0, len(samples), block):
        out += gate.push(AudioBlock(samples[begin : begin + block], start + begin, RATE_HZ))
    out += gate.finish()
    for one, other in itertools.pairwise(out):
        assert one.end_frame == other.start_frame
    return np.concatenate([one.samples for one in out])


def test_speech_is_blanked_with_its_margins_and_nothing_else(network: Path) -> None:
    samples = scene(20, (8, 9))
    gate = SpeechGate(VoiceActivity(network))
    out = through(gate, samples)
    assert len(out) == len(samples)
    blank = np.flatnonzero((out == 0) & (samples != 0)) / RATE_HZ
    assert blank.min() == pytest.approx(8 - BEFORE_S, abs=0.05)
    assert blank.max() == pytest.approx(9 + AFTER_S, abs=0.08)
    kept = np.ones(len(out), bool)
    kept[round((8 - BEFORE_S - 0.05) * RATE_HZ) : round((9 + AFTER_S + 0.08) * RATE_HZ)] = False
    np.testing.assert_array_equal(out[kept], samples[kept])
    assert gate.blanked_s == pytest.approx(1 + BEFORE_S + AFTER_S, abs=0.15)
    assert gate.speech_within(8.2, 8.3)
    assert not gate.speech_within(0.0, 6.0)
    assert gate.push(AudioBlock(samples[:400], 10**9, RATE_HZ)) == []


def test_the_delay_is_two_seconds_and_the_cuts_do_not_matter(network: Path) -> None:
    samples = scene(12, (3, 4), (7, 7.5))
    one = through(SpeechGate(VoiceActivity(network)), samples, block=400)
    np.testing.assert_array_equal(one, through(SpeechGate(VoiceActivity(network)), samples, block=1111))
    gate = SpeechGate(VoiceActivity(network))
    released = gate.push(AudioBlock(samples[: 5 * RATE_HZ], 0, RATE_HZ))
    assert released == []
    released = gate.push(AudioBlock(samples[5 * RATE_HZ : 6 * RATE_HZ], 5 * RATE_HZ, RATE_HZ))
    assert released == []
    released = gate.push(AudioBlock(samples[6 * RATE_HZ : 8 * RATE_HZ], 6 * RATE_HZ, RATE_HZ))
    assert [block.end_frame for block in released] == [5 * RATE_HZ, 6 * RATE_HZ]
    assert pytest.approx(2.0) == DELAY_S


@pytest.mark.parametrize(("drop_speech", "published"), [(False, 2), (True, 1)])
def test_a_clip_with_speech_is_not_saved_and_its_event_is_kept_or_dropped(
    network: Path, tmp_path: Path, drop_speech: bool, published: int
) -> None:
    clock, outlet = FakeClock(), FakeOutlet()
    scorer = FakeScorer(manifest(), lambda window: [float(np.abs(window).max() > 0.05), 0.0, 0.0])
    clips = Clips(tmp_path, max_bytes=10**9, min_free_bytes=0)
    spectra: list[object] = []
    outputs = AudioOutputs(
        clips, None, wanted=lambda: True, publish=spectra.append, gate=SpeechGate(VoiceActivity(network))
    )
    policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)
    listener = Listener(scorer, policy, clock.now(), hop_s=2.5, on_block=outputs.push)
    outputs.follow(listener.numbering)
    reporter = Reporter(
        listener,
        outlet.publish,
        clock,
        station="s",
        boot_id="b",
        live=True,
        minutes=True,
        clips=clips,
        outputs=outputs,
        drop_speech=drop_speech,
    )
    # Two birds; a person speaks into the second one.
    n = np.arange(60 * 32000)
    samples = 0.01 * np.sin(n * 0.3)
    samples[10 * 32000 : 12 * 32000] *= 10
    samples[40 * 32000 : 42 * 32000] *= 80
    for begin in range(0, len(n), 3200):
        clock.advance(0.1)
        reporter.report(
            listener.push(Chunk(samples[begin : begin + 3200, None].astype(np.float32), 32000, clock.now()))
        )
        while listener.waiting:
            reporter.report(listener.score())
    reporter.report(listener.finish())
    events = outlet.of("event")
    assert len(events) == published
    assert events[0]["clip"] is not None
    assert [event["clip"] for event in events[1:]] == [None] * (published - 1)
    assert clips.saved == 1
    assert len(outlet.of("detection")) == 2 * published
    assert spectra


def test_probabilities_do_not_depend_on_how_the_stream_is_cut(network: Path) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 16000).astype(np.float32)
    whole = VoiceActivity(network).push(samples)
    assert len(whole) == 16000 // 512
    voice = VoiceActivity(network)
    parts = [voice.push(part) for part in np.split(samples, [1, 513, 700, 9000])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_network_is_taken_out_of_its_wheel(network: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path / "store"))
    with pytest.raises(ModelError, match="birdwatch model add-silero"):
        VoiceActivity()
    wheel = tmp_path / "silero_vad-6.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(network, INSIDE)
    result = CliRunner().invoke(model_add_silero, ["--wheel", str(wheel)])
    assert result.exit_code == 0, result.output
    assert voice_model_path().read_bytes() == network.read_bytes()
    VoiceActivity()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other", "")
    result = CliRunner().invoke(model_add_silero, ["--wheel", str(wheel)])
    assert isinstance(result.exception, ModelError)
    (tmp_path / "odd.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="ONNX Runtime"):
        VoiceActivity(tmp_path / "odd.onnx")

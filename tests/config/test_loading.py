from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatch.cli.config import config
from birdwatch.config.loading import Configuration, journal_path
from birdwatch.config.schema import Settings, rules
from birdwatch.errors import ConfigError


def read(text: str = "", folder: Path | None = None, *, environ: dict[str, str] | None = None, **options: Any) -> Any:
    path = None
    if folder is not None:
        path = folder / "birdwatch.toml"
        path.write_text(text)
    return Configuration(path, options, environ or {}).read()


def test_every_default_is_allowed_by_its_own_rule() -> None:
    for name, rule in rules().items():
        assert rule.fault(getattr(Settings(), name)) is None, name


def test_every_setting_has_a_rule_and_nothing_else_has() -> None:
    assert set(rules()) == {item.name for item in fields(Settings)} - {"class_"}


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    loaded = read(
        'hop = 1.0\nthreshold = 0.1\nstation = "file"\n',
        tmp_path,
        environ={"BIRDWATCH_HOP": "2", "BIRDWATCH_THRESHOLD": "0.2", "PATH": "/bin"},
        hop=3.0,
        device=None,
    )
    assert (loaded.settings.hop, loaded.settings.threshold, loaded.settings.station) == (3.0, 0.2, "file")
    assert loaded.settings.recording_seconds == 60.0
    assert loaded.origins["hop"] == "--hop"
    assert loaded.origins["threshold"] == "BIRDWATCH_THRESHOLD"
    assert loaded.origins["station"] == str(tmp_path / "birdwatch.toml")
    assert loaded.origins["device"] == loaded.origins["bind"] == "default"


def test_a_class_has_its_own_rules_and_the_common_ones_for_the_rest(tmp_path: Path) -> None:
    text = "event_bridge = 2.0\nthreshold = 0.4\n[class.houspa]\nthreshold = 0.9\nevent_min_windows = 3\n"
    settings = read(text, tmp_path, environ={"BIRDWATCH_EVENT_BRIDGE": "7"}).settings
    sparrow, robin = settings.for_class("houspa"), settings.for_class("eurrob1")
    assert (sparrow.threshold, sparrow.event_min_windows, sparrow.event_bridge) == (0.9, 3, 7.0)
    assert (robin.threshold, robin.event_min_windows, robin.event_bridge) == (0.4, 1, 7.0)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = 'hopp = 1\nhop = -1\nprovider = "gpu"\nrealtime = 1\nthreshold = nan\n[class.houspa]\ntreshold = 1\n'
    with pytest.raises(ConfigError) as caught:
        read(text, tmp_path, environ={"BIRDWATCH_STATIO": "x", "BIRDWATCH_JOURNAL_MAX_MB": "many"}, station="a b")
    for part in (
        "unknown setting hopp (did you mean hop?)",
        "hop is -1, expected 0.01 or more",
        "provider is 'gpu', expected one of auto, cuda, cpu",
        "realtime is 1, expected true or false",
        "threshold is nan, expected 0 to 1",
        "class.houspa: unknown setting treshold (did you mean threshold?)",
        "unknown setting BIRDWATCH_STATIO (did you mean BIRDWATCH_STATION?)",
        "BIRDWATCH_JOURNAL_MAX_MB: journal_max_mb is 'many', expected a number",
        "--station: station is 'a b'",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [("hop = ", "is not TOML"), ("class = 1", "expected tables such as"), ("[class]\nhouspa = 1", "expected tables")],
)
def test_a_file_that_does_not_parse_is_named(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part) as caught:
        read(text, tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_missing_or_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        Configuration(tmp_path / "none.toml", environ={}).read()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not TOML"):
        Configuration(tmp_path / "binary.toml", environ={}).read()


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("device = 3\n")
    loaded = Configuration(environ={"BIRDWATCH_CONFIG": str(tmp_path / "b.toml"), "BIRDWATCH_MODELS": "/srv"}).read()
    assert loaded.settings.device == "3"


@pytest.mark.parametrize(("word", "value"), [("true", True), ("0", False), ("Yes", True), ("off", False)])
def test_true_and_false_in_the_environment(word: str, value: bool) -> None:
    assert read(environ={"BIRDWATCH_INSECURE_BIND": word}).settings.insecure_bind is value


def test_reading_again_sees_the_file_as_it_is_now_and_says_what_needs_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("threshold = 0.5\nhop = 2.5\n")
    configuration = Configuration(path, environ={})
    old = configuration.read()
    path.write_text("threshold = 0.7\nhop = 1.0\n[class.houspa]\nthreshold = 0.9\n")
    new = configuration.read()
    assert new.settings.threshold == 0.7
    assert old.needs_restart(new) == ["hop"]
    path.write_text("hop = \n")
    with pytest.raises(ConfigError):
        configuration.read()


def test_where_the_journal_is() -> None:
    assert journal_path(Settings(journal=Path("/x/j.db")), {}) == Path("/x/j.db")
    assert journal_path(Settings(), {"STATE_DIRECTORY": "/var/lib/birdwatch"}) == Path("/var/lib/birdwatch/journal.db")
    assert journal_path(Settings(), {"XDG_STATE_HOME": "/s"}) == Path("/s/birdwatch/journal.db")
    assert journal_path(Settings(), {}) == Path.home() / ".local/state/birdwatch/journal.db"
    assert journal_path(Settings(journal_max_mb=0.0), {}) is None


def test_what_config_prints_is_a_configuration_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDWATCH_HOP", "1.5")
    path = tmp_path / "b.toml"
    path.write_text('station = "güte\\"n"\nsave_clips = "/clips"\n[class."a b"]\nthreshold = 0.25\n')
    result = CliRunner().invoke(config, ["--config", str(path), "--no-realtime", "--bind", "ipc:///run/x", "--explain"])
    assert result.exit_code == 0, result.output
    monkeypatch.delenv("BIRDWATCH_HOP")
    again = read(result.output, tmp_path).settings
    assert again == Configuration(path, {"bind": "ipc:///run/x", "hop": 1.5}, {}).read().settings
    line = next(line for line in result.output.splitlines() if line.startswith("hop"))
    assert line.split() == ["hop", "=", "1.5", "#", "BIRDWATCH_HOP"]
    assert tomllib.loads(result.output)["class"]["a b"]["threshold"] == 0.25


def test_sources_are_tables_with_what_differs(tmp_path: Path) -> None:
    text = (
        "threshold = 0.5\nhop = 2.0\n[class.houspa]\nthreshold = 0.9\n"
        '[source.camera]\nurl = "rtsp://user:s3cret@host/x"\nthreshold = 0.3\n'
        '[source.pond]\nfile = "a.wav"\nchannel = 1\n'
    )
    loaded = read(text, tmp_path)
    camera, pond = loaded.sources["camera"], loaded.sources["pond"]
    assert loaded.has_tables
    assert (camera.station, camera.threshold, camera.hop, camera.source) == ("camera", 0.3, 2.0, None)
    # What is set for one class holds at every source.
    assert camera.for_class("houspa").threshold == 0.9
    assert (pond.source, pond.channel, pond.url, pond.threshold) == ("a.wav", "1", None, 0.5)
    assert "s3cret" not in repr(loaded.sources)
    assert not read('source = "a.wav"\n', tmp_path).has_tables


def test_what_is_wrong_in_a_source_is_said_with_its_name(tmp_path: Path) -> None:
    text = '[source.a]\nchanel = 1\n[source."b c"]\ndevice = "x"\n[source.d]\nbind = "tcp://*:1"\nurl = 5.5\n'
    with pytest.raises(ConfigError) as caught:
        read(text, tmp_path)
    message = str(caught.value)
    assert "source.a: unknown setting chanel (did you mean channel?)" in message
    assert "source.'b c' is no name for a station" in message
    assert "source.d: unknown setting bind" in message
    assert "source.d.url, expected text" in message
    with pytest.raises(ConfigError, match="not only tables"):
        read("[source]\ndevice = 1\n", tmp_path)


def test_a_few_sources_on_the_command_line_are_stations_too() -> None:
    loaded = read(station="garden", device="usb", url="http://host/x")
    assert {name: (one.device, one.url) for name, one in loaded.sources.items()} == {
        "garden-device": ("usb", None),
        "garden-url": (None, "http://host/x"),
    }


def test_config_shows_sources_and_never_a_url(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text('[source.camera]\nurl = "rtsp://user:s3cret@host/x"\nhop = 1.0\n')
    result = CliRunner().invoke(config, ["--config", str(path)])
    assert result.exit_code == 0, result.output
    assert "s3cret" not in result.output
    assert "# url is set and not shown" in result.output
    assert tomllib.loads(result.output)["source"]["camera"] == {"hop": 1.0}


ADVERSARIAL = st.one_of(
    st.sampled_from(["nan", "inf", "-inf", "[]", "{}", "1979-05-27", "07:32:00", "'" + "x" * 5000 + "'", '"\\u0000"']),
    st.integers().map(str),
    st.integers(1, 4200).map("9".__mul__),
    st.floats().map(repr),
    st.text(st.characters(codec="utf-8")).map(lambda text: json.dumps(text, ensure_ascii=True)),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*rules(), "class", "source", "x"]), ADVERSARIAL, max_size=6), st.booleans())
def test_whatever_a_setting_is_it_is_taken_or_refused_in_few_words(tmp_path_factory, values, in_class):
    path = tmp_path_factory.mktemp("any") / "any.toml"
    path.write_text("".join(f"{name} = {value}\n" for name, value in values.items()) + "[class.a]\n" * in_class)
    said = ""
    try:
        Configuration(path, environ={}).read()
    except ConfigError as error:
        said = str(error)
    assert len(said) < 20_000


def test_every_number_has_bounds_within_which_all_that_is_made_of_it_is_finite() -> None:
    for name, rule in rules().items():
        if rule.kind in (int, float):
            high = rule.most if rule.high is None else rule.high
            assert rule.low is not None, name
            assert high is not None, name
            assert rule.fault(rule.kind(rule.low)) is None, name
            assert rule.fault(rule.kind(high)) is None, name
            # Nanoseconds, frames at the highest rate, bytes of gigabytes: whole numbers of 64 bits.
            assert high * 1e9 < 2**63, name
            assert f"{high:g}" in (rule.fault(rule.kind(1e30)) or ""), name


def test_a_value_that_switches_off_may_be_below_the_others() -> None:
    rule = rules()["high_pass"]
    assert rule.fault(0.0) is None
    assert rule.fault(5e-324) == "0, or 1 or more"

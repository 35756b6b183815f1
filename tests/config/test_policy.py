"""Settings to rules, one a class."""

from __future__ import annotations

import pytest
from tiny_model import manifest

from birdwatch.config.policy import event_rules
from birdwatch.config.schema import ClassRules, Settings
from birdwatch.errors import ConfigError
from birdwatch.scores.events import EventRule


def test_without_settings_the_models_own_thresholds_count():
    rules = event_rules(Settings(), manifest(threshold=0.4, thresholds={"eurbla": 0.7}))
    assert [rule.on for rule in rules] == [0.4, 0.4, 0.7]
    assert rules[0] == EventRule(0.4, 0.4, 1, 5 * 32000)


def test_a_class_has_its_own():
    own = ClassRules(threshold=0.8, event_off=0.2, event_min_windows=3, event_bridge=10.0)
    rules = event_rules(Settings(threshold=0.5, event_off=0.3, class_={"eurrob1": own}), manifest())
    assert rules[0] == EventRule(0.5, 0.3, 1, 160000)
    assert rules[1] == EventRule(0.8, 0.2, 3, 320000)


def test_an_off_score_for_all_does_not_forbid_a_models_lower_threshold():
    rules = event_rules(Settings(event_off=0.3), manifest(thresholds={"eurbla": 0.1}))
    assert (rules[2].on, rules[2].off) == (0.1, 0.1)


def test_what_does_not_fit_is_refused_all_at_once():
    settings = Settings(threshold=0.2, event_off=0.5, class_={"dodo": ClassRules(), "eurbla": ClassRules()})
    with pytest.raises(ConfigError) as caught:
        event_rules(settings, manifest())
    assert "class.dodo: tiny has no such class" in str(caught.value)
    assert "gretit1: event_off is 0.5, expected at most its threshold of 0.2" in str(caught.value)

"""The scoring policy of a station, remade when settings are reloaded or the week of its range model changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from birdwatch.config.policy import scoring_policy
from birdwatch.config.schema import Settings
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.registry import range_models
from birdwatch.model.species_filter import week_of
from birdwatch.scores.policy import ScoringPolicy

__all__ = ["StationPolicy"]


class StationPolicy:
    """`policy` is the one in force.

    today: the day, UTC, by which the season goes; None for audio that is not live, which gets the whole year.
    """

    def __init__(self, classifier: OnnxClassifier, settings: Settings, today: Callable[[], date] | None) -> None:
        self._classifier = classifier
        self._today = today
        self.apply(settings)

    @property
    def filter(self) -> str | None:
        """The species filter as text, or None where all species may be detected."""
        return None if self.policy.species is None else str(self.policy.species)

    def made_of(self, settings: Settings) -> ScoringPolicy:
        """The policy of other settings, which is not yet in force. Raises ConfigError or ModelError."""
        return scoring_policy(settings, self._classifier, week=self._week(settings))

    def apply(self, settings: Settings) -> None:
        """Put these settings in force. Raises ConfigError or ModelError, and the old ones stay."""
        self.policy = self.made_of(settings)
        self._settings, self._applied_week = settings, self._week(settings)

    def follow_season(self) -> bool:
        """Make the policy again if the week has turned; returns whether it has."""
        if self._week(self._settings) == self._applied_week:
            return False
        self.apply(self._settings)
        return True

    def _week(self, settings: Settings) -> int | None:
        if settings.week is not None or settings.lat is None or self._today is None:
            return settings.week
        # Without a range model there is only the list for the region, which knows no seasons.
        if not range_models():
            return None
        return week_of(self._today())

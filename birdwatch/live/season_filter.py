"""The species filter of a station: made again when the week turns or the settings change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from birdwatch.config.schema import Settings
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.species_choice import choose_species
from birdwatch.model.species_filter import week_of

__all__ = ["StationSpecies"]


class StationSpecies:
    """The filter of a station that stays for years: made anew when the week turns, or with other settings.

    today: the day, UTC, by which the season goes; None for audio that is not live, which gets the whole year.
    """

    def __init__(self, classifier: OnnxClassifier, settings: Settings, today: Callable[[], date] | None) -> None:
        self._classifier = classifier
        self._today = today
        self.apply(settings)

    @property
    def text(self) -> str | None:
        """What is let through, in words, or None for all species."""
        return None if self._classifier.species is None else str(self._classifier.species)

    def apply(self, settings: Settings) -> None:
        """Take over these settings. Raises ConfigError or ModelError, and the filter stays as it was."""
        week = self._week(settings)
        self._classifier.species = choose_species(
            self._classifier.own_labels,
            translated=self._classifier.manifest.labels,
            latitude=settings.lat,
            longitude=settings.lon,
            week=week,
            species=settings.species,
        )
        self._settings, self._applied_week = settings, week

    def follow_season(self) -> bool:
        """Make the filter anew if the week has turned, and say whether it has."""
        if self._week(self._settings) == self._applied_week:
            return False
        self.apply(self._settings)
        return True

    def _week(self, settings: Settings) -> int | None:
        if settings.week is not None or settings.lat is None or self._today is None:
            return settings.week
        return week_of(self._today())

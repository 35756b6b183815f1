"""Makes the scoring policy from settings: thresholds and event rules of each class, and the species filter."""

from __future__ import annotations

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Manifest
from birdwatch.model.species_choice import choose_species
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

__all__ = ["event_rules", "scoring_policy"]


def scoring_policy(settings: Settings, classifier: OnnxClassifier, *, week: int | None) -> ScoringPolicy:
    """The one policy of `run`, `listen` and `birdwatch.analyze`.

    week: 1..48 for the range model, None for the whole year. Raises ConfigError or ModelError.
    """
    rules = event_rules(settings, classifier.manifest)
    species = choose_species(
        classifier.own_labels,
        translated=classifier.manifest.labels,
        latitude=settings.lat,
        longitude=settings.lon,
        week=week,
        species=settings.species,
    )
    return ScoringPolicy(tuple(rules), species)


def event_rules(settings: Settings, manifest: Manifest) -> list[EventRule]:
    """One rule per class, in the order of the labels. Raises ConfigError that names everything inconsistent."""
    unknown = sorted(set(settings.class_) - set(manifest.codes))
    faults = [
        f"class.{code}: {manifest.name} has no such class; `birdwatch model show` lists its labels" for code in unknown
    ]
    out = []
    common = settings.for_all_classes()
    for code in manifest.codes:
        own = settings.class_.get(code) or common
        on = manifest.threshold_of(code) if own.threshold is None else own.threshold
        # A model's threshold may be lower than the off score of all classes: the event then ends at the threshold.
        off = on if own.event_off is None else own.event_off
        if off > on:
            if own.threshold is not None:
                faults.append(f"{code}: event_off is {off:g}, expected at most its threshold of {on:g}")
            off = on
        bridge_frames = round(own.event_bridge * manifest.rate_hz)
        out.append(EventRule(on=on, off=off, min_windows=own.event_min_windows, bridge_frames=bridge_frames))
    if faults:
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""
        raise ConfigError("; ".join(faults[:5]) + more)
    return out

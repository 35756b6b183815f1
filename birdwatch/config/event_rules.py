"""From settings to rules: when each of a model's classes is heard, and what of it makes one event."""

from __future__ import annotations

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.model.manifest import Manifest
from birdwatch.scores.events import EventRule

__all__ = ["event_rules"]


def event_rules(settings: Settings, manifest: Manifest) -> list[EventRule]:
    """One rule a class, in label order. Raises ConfigError with all that does not fit the model or itself."""
    unknown = sorted(set(settings.class_) - set(manifest.codes))
    faults = [
        f"class.{code}: {manifest.name} has no such class; `birdwatch model` lists its labels" for code in unknown
    ]
    out = []
    for code in manifest.codes:
        own = settings.for_class(code)
        on = manifest.threshold_of(code) if own.threshold is None else own.threshold
        # A model's threshold may be lower than an off score that is meant for all classes: the event then ends there.
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

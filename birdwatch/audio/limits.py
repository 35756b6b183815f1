"""The rates and channels that audio can have; other values mean a damaged header or a mistake in a setting."""

from __future__ import annotations

__all__ = ["MAX_CHANNELS", "RATES_HZ"]

# Slower and faster than any recorder: bat detectors reach 500 kHz. A resampler's memory grows with the ratio of rates.
RATES_HZ = (1000, 1_000_000)
MAX_CHANNELS = 256

"""Audio from files: decoding, start times, resampling, windows and levels."""

"""Samples and where they come from in a file: decoding, start times, resampling, windows and levels."""

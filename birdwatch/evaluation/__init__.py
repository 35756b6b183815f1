"""Predictions against ground truth: metrics, annotations of every dialect, alignment of the two."""

"""Evaluation of predictions against ground truth: annotation formats, alignment and metrics."""

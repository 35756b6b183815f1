"""Trains networks on labelled recordings and writes checkpoints. Installed as `birdwatch_train`."""

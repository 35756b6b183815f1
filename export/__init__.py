"""From checkpoints to verified, self-describing ONNX files. Installed as `birdwatch_export`."""

"""Converts checkpoints to verified ONNX files with a manifest. Installed as `birdwatch_export`."""

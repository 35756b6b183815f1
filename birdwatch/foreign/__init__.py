"""Networks that others trained, made into model files that describe themselves; needs the extra `models`."""

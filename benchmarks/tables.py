"""Measure everything on this machine and write the tables into benchmarks/README.md.

    python benchmarks/tables.py [--model FILE] [--seconds 3600] [--only NAME]

What cannot run here (no librosa, no openvino, no GPU) is left out, with the reason, and keeps its last table. The
figures themselves are in benchmarks/results/*.json. For CUDA a fused model in half precision is the fast one:
`--only cuda --model bird-gpu.onnx`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from birdwatch.bench.report import Report

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
README = HERE / "README.md"


def commands(model: str | None, seconds: float) -> dict[str, list[str]]:
    """By the name of its result, what to run."""
    chosen = ["--model", model] if model else []
    birdwatch = [sys.executable, "-m", "birdwatch", "bench", *chosen]
    return {
        "bench": [*birdwatch, "--provider", "cpu", "--seconds", f"{seconds:g}", "--json"],
        "full": [sys.executable, str(HERE / "full_size.py"), "--json"],
        "cuda": [*birdwatch, "--provider", "cuda", "--seconds", f"{seconds:g}", "--json"],
        "listen": [*birdwatch, "listen", "--json"],
        "frontend": [sys.executable, str(HERE / "frontend.py"), "--json"],
        "openvino": [sys.executable, str(HERE / "openvino_network.py"), *chosen, "--json"],
    }


@click.command()
@click.option("--model", help="An .onnx model, or the name of an added one. [default: built in]")
@click.option("--seconds", default=3600.0, show_default=True, help="Of the recording that is scored.")
@click.option("--only", multiple=True, help="Only this one; may be repeated.")
def main(model: str | None, seconds: float, only: tuple[str, ...]) -> None:
    """Run the benchmarks one after the other and put their tables into the README."""
    RESULTS.mkdir(exist_ok=True)
    for name, command in commands(model, seconds).items():
        if only and name not in only:
            continue
        click.echo(f"{name} ...", err=True)
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            click.echo(f"{name} was left out: {ran.stderr.strip().splitlines()[-1]}", err=True)
            continue
        (RESULTS / f"{name}.json").write_text(ran.stdout, encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    for path in sorted(RESULTS.glob("*.json")):
        table = Report.from_json(path.read_text(encoding="utf-8")).table()
        marks = f"<!-- {path.stem} -->", f"<!-- end of {path.stem} -->"
        if marks[0] not in text:
            raise click.ClickException(f"{README.name} has no place for {path.stem}: add {marks[0]} and {marks[1]}")
        block = f"{marks[0]}\n```\n{table}\n```\n{marks[1]}"
        before, _, rest = text.partition(marks[0])
        text = before + block + rest.partition(marks[1])[2]
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Ground truth, tables and label files with random faults: read, or refused by a message, soon and in bounds.

`make fuzz` runs these for long.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdwatch.convert.label_files import read_labels
from birdwatch.errors import BirdwatchError
from birdwatch.evaluation.alignment import compare
from birdwatch.evaluation.annotations import read_truth
from birdwatch.evaluation.predictions import read_predictions
from birdwatch.model.label_names import read_locale
from birdwatch.model.species_filter import read_species
from birdwatch.tables.reading import read_detections
from birdwatch.tables.submission import read_template

pytestmark = pytest.mark.fuzz
LONGEST_S = 5.0

COLUMNS = "recording,path,channel,start_s,end_s,label,common_name,scientific_name,score,threshold,start,end"
DETECTION = ["tit", "s/tit.wav", "", "0.000", "5.000", "gretit1", "Great Tit", "Parus major", "0.9", "0.5", "", ""]
TABLES = {
    "d.csv": f"{COLUMNS}\n{','.join(DETECTION)}\n{','.join(DETECTION)}\n",
    "d.jsonl": json.dumps(dict(zip(COLUMNS.split(","), DETECTION, strict=True))) + "\n",
    "s.csv": "row_id,class_name,presence\ntit,gretit1,1\ntit,blutit,0\n",
    "k.csv": "row_id,gretit1,blutit\ntit_5,0.7,0.1\ntit_10,0.2,0.5\n",
}
TRUTHS = {
    "raven.txt": (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tSpecies\n"
        "1\tSpectrogram 1\t1\t100.5\t103.0\t/disk/tit.wav\t0.5\tgretit1\n"
    ),
    "tit.labels.txt": "0.5\t1.25\tGreat Tit 0.91\n\\\t1000\t2000\n2\t2\tParus major, Great Tit\t0.9\n",
    "kaleidoscope.csv": (
        "INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,MANUAL ID\n/data,s,tit.wav,0.0,5.0,gretit1,Great Tit\n"
    ),
    "birdnet.csv": (
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n0,3,Parus major,Great Tit,.9,tit.wav\n"
    ),
    "crowsetta.csv": (
        "label,onset_s,offset_s,onset_sample,offset_sample,notated_path,annot_path,sequence,annotation\n"
        "gretit1,0.5,1.5,,,tit.wav,tit.csv,0,0\n"
    ),
    "train.csv": "primary_label,secondary_labels,filename\ngretit1,\"['blutit']\",tit.wav\n",
    "wide.csv": "row_id,gretit1,blutit\ntit_5,1,0\ntit_10,0,0\n",
    "semicolons.csv": "recording;label;start_s;end_s\ntit;gretit1;0,5;1,5\n",
}
LABELS = {"l.txt": "Parus major_Great Tit\n", "r.csv": '"scientific_name","common_name"\n"Parus major","Kohlmeise"\n'}
# What people, spreadsheets and broken copies put into such files.
PIECES = [
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b'""', b",", b";", b"\t", b"nan", b"inf", b"-1",
    b"1e400", b"1e9", b"9" * 40, b"=1+1", b"'", b"\\", b"[", b"['a'", b"{" * 50, b"NULL",
    b"\xc3\x28", "\u2028".encode(), b" ",
    b"MANUAL ID", b"start_s", b"tit", b"gretit1", b"true", b"null", b"2024-99-99T25:61:61Z", b"99999-01-01T00:00:00Z",
]  # fmt: skip


@st.composite
def mutated(draw, texts):
    """One of these files with up to six faults: bytes cut out, put in, doubled or replaced."""
    name = draw(st.sampled_from(sorted(texts)))
    data = texts[name].encode()
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + draw(st.sampled_from([0, 1, 8, 1000])))))
        put = draw(st.one_of(st.sampled_from(PIECES), st.just(data[start:end] * 2), st.binary(max_size=6)))
        data = data[:start] + put + data[end:]
    return name, data


FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(call, *arguments):
    """The result, or None where it was refused; nothing but birdwatch's own errors may be raised."""
    began = time.perf_counter()
    try:
        return call(*arguments)
    except BirdwatchError:
        return None
    finally:
        assert time.perf_counter() - began < LONGEST_S


@pytest.mark.slow
@FUZZ
@given(mutated(TRUTHS), mutated(TABLES))
def test_truth_and_tables_are_read_or_refused(truth, table):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (truth, table):
            (Path(folder) / name).write_bytes(data)
        annotations = read(read_truth, Path(folder) / truth[0])
        predictions = read(read_predictions, Path(folder) / table[0])
    for item in annotations or ():
        assert (item.start_s is None) == (item.end_s is None)
        if item.start_s is not None and item.end_s is not None:
            assert 0 <= item.start_s <= item.end_s < math.inf
    if annotations is not None and predictions is not None:
        units = read(lambda: compare(predictions, annotations, unknown_labels="ignore"))
        if units is not None:
            assert units.truth.shape == units.scores.shape == (len(units.names), len(units.labels))


@pytest.mark.slow
@FUZZ
@given(
    mutated(
        {
            **TABLES,
            **TRUTHS,
            "l.txt": "Parus major_Great Tit\n",
            "r.csv": '"scientific_name","common_name"\n"a b","c"\n',
        }
    )
)
def test_label_files_and_templates_are_read_or_refused(file):
    name, data = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        read(read_locale, path)
        read(read_species, path)
        read(read_template, path)
        read(read_labels, path, 2)
        if path.suffix in (".csv", ".jsonl"):
            read(read_detections, path)

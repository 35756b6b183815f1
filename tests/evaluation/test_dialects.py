"""Every form in which the field writes labels, read as its own program means it; crowsetta writes some of them."""

from __future__ import annotations

import crowsetta
import pytest

from birdwatch.errors import ConfigError
from birdwatch.evaluation.annotations import Annotation, read_truth

TIT = Annotation("tit.wav", "Parus major", 100.0, 103.0, ("Great Tit",))


def read(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return read_truth(path)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "t.csv",
            ("Start (s),End (s),Scientific name,Common name,Confidence,File\n"
            "100.0,103.0,Parus major,Great Tit,0.9,tit.wav\n"),
            [TIT],
        ),
        (
            "tit.BirdNET.results.csv",
            "Start (s),End (s),Scientific name,Common name,Confidence\n100.0,103.0,Parus major,Great Tit,0.9\n",
            [Annotation("tit", *("Parus major", 100.0, 103.0, ("Great Tit",)))],
        ),
        (
            "r.csv",
            ("filepath,start,end,scientific_name,common_name,confidence,lat,lon,week,overlap,sensitivity\n"
            "tit.wav,100.0,103.0,Parus major,Great Tit,0.9,-1,-1,-1,0.0,1.0\n"),
            [TIT],
        ),
        (
            "k.csv",
            ("INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence,lat,lon,week\n"
            "/data,mk,tit.wav,100.0,3.0,Parus major,Great Tit,0.9,-1,-1,-1\n"),
            [Annotation("/data/mk/tit.wav", "Parus major", 100.0, 103.0, ("Great Tit",))],
        ),
        (
            "tit.BirdNET.selection.table.txt",
            ("Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tCommon Name\t"
            "Species Code\tConfidence\tBegin Path\tFile Offset (s)\n"
            "1\tSpectrogram 1\t1\t100.0\t103.0\t0\t12000\tGreat Tit\tgretit1\t0.9\ttit.wav\t100.0\n"),
            [Annotation("tit.wav", "gretit1", 100.0, 103.0, ("Great Tit",))],
        ),
        ("tit.labels.txt", "100.0\t103.0\tGreat Tit 0.91\n", [Annotation("tit", "Great Tit", 100.0, 103.0)]),
        (
            "tit.txt",
            "100.0\t103.0\tParus major, Great Tit\t0.9\n\\\t1000\t2000\n104\t104\tGreat Tit\n",
            [
                Annotation("tit", "Great Tit", 100.0, 103.0, ("Parus major",)),
                Annotation("tit", "Great Tit", 104.0, 104.0),
            ],
        ),
        (
            "k.csv",
            ("INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,MANUAL ID\n"
            "/data,mk,tit.wav,0.000,5.000,gretit1,Blue Tit\n/data,mk,tit.wav,2.500,5.000,gretit1,Noise\n"
            '/data,mk,tit.wav,5.000,5.000,gretit1,"Coal Tit, Marsh Tit"\n'),
            [
                Annotation("/data/mk/tit.wav", "Blue Tit", 0.0, 5.0),
                Annotation("/data/mk/tit.wav", "", 2.5, 7.5),
                Annotation("/data/mk/tit.wav", "Coal Tit", 5.0, 10.0),
                Annotation("/data/mk/tit.wav", "Marsh Tit", 5.0, 10.0),
            ],
        ),
        ("a.csv", "onset_s,offset_s,label\n3.0,5.0,x\n", [Annotation("a", "x", 3.0, 5.0)]),
        (
            "a.txt",
            "Begin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n3\t5\ta.wav\tx\n",
            [Annotation("a.wav", "x", 3.0, 5.0)],
        ),
        ("g.csv", "filename,onset,offset,label\na.wav,1,2,x\n", [Annotation("a.wav", "x", 1.0, 2.0)]),
        ("g.csv", "filename,offset,duration,label\na.wav,1,2,x\n", [Annotation("a.wav", "x", 1.0, 3.0)]),
        ("g.csv", "filename;start_s;end_s;label\na.wav;0,5;1,25;x\n", [Annotation("a.wav", "x", 0.5, 1.25)]),
        ("g.csv", "recording,label,start_s,end_s\na,x,5,5\n", [Annotation("a", "x", 5.0, 5.0)]),
        (
            "s.csv",
            "row_id,class_name,presence\na,x,1\na,y,0\n",
            [Annotation("a", "x", None, None), Annotation("a", "", None, None)],
        ),
        (
            "w.csv",
            "row_id,x,y\na_5,1,0\na_10,0,0\n",
            [Annotation("a", "x", 0.0, 5.0), Annotation("a", "", 5.0, 10.0)],
        ),
        (
            "c.csv",
            "primary_label,secondary_labels,filename\nx,\"['y', 'z']\",x/1.ogg\nnocall,[],2.ogg\n",
            [
                Annotation("x/1.ogg", "x", None, None),
                Annotation("x/1.ogg", "y", None, None),
                Annotation("x/1.ogg", "z", None, None),
                Annotation("2.ogg", "", None, None),
            ],
        ),
    ],
)  # fmt: skip
def test_each_dialect_says_what_its_program_means(tmp_path, name, text, expected):
    assert read(tmp_path, text, name) == expected


def test_crowsettas_generic_csv(tmp_path):
    sequence = crowsetta.Sequence.from_keyword(
        labels=["x", "y"], onsets_s=[0.5, 2.0], offsets_s=[1.25, 3.0], onset_samples=None, offset_samples=None
    )
    annotation = crowsetta.Annotation(seq=sequence, annot_path="a.csv", notated_path="a.wav")
    crowsetta.formats.seq.GenericSeq(annots=[annotation]).to_file(tmp_path / "g.csv")
    assert read_truth(tmp_path / "g.csv") == [Annotation("a.wav", "x", 0.5, 1.25), Annotation("a.wav", "y", 2.0, 3.0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recording,label,start_s,end_s\nt,a,0,5\nt,b,,\n", "line 3: 'b' has no times, other rows have"),
        ("recording,label,start_s,end_s\nt,a,nan,5\n", "line 2: start_s is nan, expected seconds from 0 to 604800"),
        ("recording,label,start_s,end_s\nt,a,0,1e9\n", "line 2: end_s is 1e9"),
        ("recording,label,start_s,end_s\nt,a,-1,5\n", "line 2: start_s is -1"),
        ("recording,label,start_s,end_s\nt,a,5,\n", "line 2: end_s is empty"),
        ("recording,label,start_s,end_s\nt,a,5,4\n", "line 2: end_s 4 is before start_s 5"),
        ("recording,label,start_s,end_s\nt,a\n", "line 2: 2 cells for 4 headings"),
        ("recording,label,start_s,end_s\nt,a,0,5,6\n", "line 2: 5 cells under 4 headings"),
        ("recording,label,start_s,end_s\n,a,0,5\n", "line 2: recording is empty"),
        ("recording,label,label\nt,a,b\n", "the column 'label' twice"),
        ("recording,label,from,until\nt,a,0,5\n", "have the columns from, until, which seem to hold times"),
        ("recording,label,onset_sample,offset_sample\nt,a,0,5\n", "which seem to hold times"),
        ("recording,label,offset\nt,a,0\n", "have the columns offset, which seem to hold times"),
        ("recording,label,time\nt,a,\nt,a,3.5\n", "have the columns time, which seem to hold times"),
        ("recording,label,start\nt,a,0\n", "have the columns start, which seem to hold times"),
        ("IN FILE,OFFSET,DURATION,TOP1MATCH\nt.wav,0,5,a\n", "no column MANUAL ID, only a program's"),
        ("IN FILE,OFFSET,DURATION,TOP1MATCH,MANUAL ID\nt.wav,0,5,a,\n", "these rows are not reviewed"),
        ("IN FILE,OFFSET,DURATION,MANUAL ID\nt.wav,0,5,a\nt.wav,5,5,\n", "line 3: MANUAL ID is empty"),
        ("row_id,class_name,presence\na,x,maybe\n", "line 2: presence is 'maybe', expected 0 or 1"),
        ("row_id,x\na_5,0.7\n", "line 2: '0.7' is neither 0 nor 1"),
        ("row_id,x\nnonsense,1\n", "line 2: row_id is 'nonsense'"),
        ("filename,primary_label,secondary_labels\na,x,[y\n", "line 2: secondary_labels is '\\[y'"),
        ("0.5\t1\tx\n2\n", "line 2: '2' is no label"),
        ("-0.5\t1\tx\n", "line 1: start is -0.5, expected seconds from 0"),
        ("IN FILE,OFFSET,MANUAL ID\nt.wav,3,a\n", "have the column OFFSET without DURATION"),
        ("IN FILE,OFFSET,DURATION,MANUAL ID\nt.wav,3,2,a\n,3,2,a\n", "line 3: IN FILE is empty"),
        (
            "Begin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n3\t5\ta.wav\tx\n19\t21\tb.wav\tx\n",
            "name several recordings under begin file and have no column File Offset",
        ),
        (
            "Begin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n3\t5\t\t3\tx\n19\t21\tb.wav\t\tx\n",
            r"line 2: begin file is empty; line 3: file offset \(s\) is empty",
        ),
        (
            "Begin File\tBegin Clock Time\tEnd Clock Time\tSpecies\na.wav\t04:30:03\t04:30:05\tx\n",
            "have the columns begin clock time, end clock time, which seem to hold times",
        ),
    ],
)
def test_what_is_not_understood_is_named_and_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text)


def test_every_wrong_row_is_named_or_counted(tmp_path):
    with pytest.raises(ConfigError, match=r"line 2: .*line 6: .*; and 3 more rows; correct"):
        read(tmp_path, "recording,label,start_s,end_s\n" + "t,a,soon,5\n" * 8)


def test_labels_in_another_encoding_say_so(tmp_path):
    with pytest.raises(ConfigError, match="expected text in UTF-8: save it again"):
        read(tmp_path, "recording,label\na,x\n", encoding="utf-16")


def test_lengths_of_recordings_are_not_times(tmp_path):
    assert read(tmp_path, "filename,primary_label,duration_s,time\na,x,22.1,07:30\n") == [
        Annotation("a", "x", None, None)
    ]

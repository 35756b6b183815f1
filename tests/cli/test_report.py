"""`birdwatch report` as its user calls it, and the page in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def birdwatch(*arguments, folder):
    return run_birdwatch(*arguments, cwd=folder)


@pytest.fixture(scope="module")
def season(tmp_path_factory, tiny_model, song):
    folder = tmp_path_factory.mktemp("report")
    (folder / "season" / "north").mkdir(parents=True)
    for day, hour in ((13, 4), (13, 5), (15, 21)):
        path = folder / "season" / "north" / f"AM_202405{day}_{hour:02d}3000.wav"
        soundfile.write(path, np.roll(song, 32000 * hour), 32000)
    (folder / "season" / "broken <b>.wav").write_text("no audio")
    outs = ("--out", "d.parquet", "--out", "d.csv", "--format", "parquet", "--format", "detections")
    assert birdwatch("run", "season", *outs, "--model", tiny_model, folder=folder).returncode == 3
    return folder


@pytest.fixture(scope="module")
def page(season):
    done = birdwatch("report", "d.parquet", "--audio", "season", "--title", "My <season>", folder=season)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d species, [1-9] moments, [\d.]+ MB; d\.html", done.stderr)
    return season / "d.html"


def test_the_page_holds_everything_and_fetches_nothing(page):
    html = page.read_text()
    assert "My &lt;season&gt;" in html
    assert "<season>" not in html
    assert "European Robin" in html
    assert "broken &lt;b&gt;.wav is not audio" in html
    assert "13 May 2024 to 15 May 2024" in html
    links = re.findall(r"""(?:src|href|data-sound)="([^"]{0,30})|url\(([^)]{0,30})""", html)
    assert links
    assert all(re.match(r"data:|#", one or other) for one, other in links)
    assert "http://" not in html
    assert "https://" not in html


def test_a_csv_gives_the_same_species_without_the_hours_of_recording(season, page):
    done = birdwatch("report", "d.csv", "--out", "c.html", "--title", "My <season>", folder=season)
    assert done.returncode == 0, done.stderr
    csv_page, parquet_page = (season / "c.html").read_text(), page.read_text()
    names = re.compile(r'data-name="([^"]+)" data-count="(\d+)" data-best="([\d.]+)"')
    assert names.findall(csv_page) == names.findall(parquet_page)
    assert "nothing was recorded" in parquet_page
    assert "nothing was recorded" not in csv_page


def test_moved_audio_is_found_and_missing_audio_is_said(season, tmp_path):
    shutil.copytree(season / "season", tmp_path / "disk" / "moved")
    done = birdwatch("report", season / "d.parquet", "--audio", "disk", "--out", "p.html", folder=tmp_path)
    assert done.returncode == 0
    assert "was not found" not in done.stderr
    assert (tmp_path / "p.html").read_text().count('src="data:image/png') > 0
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other" / "x.wav", np.zeros(3200, np.float32), 32000)
    done = birdwatch("report", season / "d.parquet", "--audio", "other", "--out", "p.html", folder=tmp_path)
    assert done.returncode == 0
    assert "moments was not found in other" in done.stderr
    assert "its audio was not found" in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.parquet"], "none.parquet cannot be read"),
        (["text.parquet"], "text.parquet is not Parquet"),
        (["sub.csv"], "sub.csv lacks the columns recording"),
        (["text.jsonl"], "text.jsonl is not a table of detections"),
        (["d.parquet", "--audio", "nowhere"], "the folder nowhere does not exist"),
        (["d.parquet", "--out", "no/p.html"], "the folder no of p.html does not exist"),
    ],
)
def test_bad_input_gets_one_line(season, arguments, said):
    (season / "text.parquet").write_text("no table")
    (season / "text.jsonl").write_text("no table\n")
    (season / "sub.csv").write_text("row_id,class_name,presence\n")
    done = birdwatch("report", *arguments, folder=season)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# What a user does, done by a script in the page: it plays the first picture, looks for a bird that is not there and for
# one that is, sorts, and writes down what it saw.
VISITOR = """<script>
const seen = document.body.dataset;
for (const image of document.images) image.loading = "eager";
seen.pictures = document.images.length;
const button = document.querySelector(".play");
audio.addEventListener("timeupdate", () => {
  if (audio.currentTime > 0) { seen.played = audio.duration.toFixed(1); seen.pressed = button.ariaPressed; }
});
button.click();
setInterval(() => {}, 20);
const words = document.querySelector("#find");
words.value = "no such bird"; words.dispatchEvent(new Event("input"));
seen.none = String(nothing.hidden) + document.querySelectorAll(".bird:not([hidden])").length;
words.value = "rubecula"; words.dispatchEvent(new Event("input"));
seen.one = document.querySelectorAll(".bird:not([hidden])").length;
words.value = ""; words.dispatchEvent(new Event("input"));
sort.value = "name"; sort.dispatchEvent(new Event("change"));
seen.order = [...document.querySelectorAll(".bird")].map((card) => card.dataset.name).join();
Promise.all([...document.images].map((i) => i.decode())).then(() => { seen.widths = document.images[0].naturalWidth; });
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium here; apt-get install chromium")
def test_in_a_real_browser_it_plays_finds_and_sorts(page, tmp_path):
    visited = tmp_path / "visited.html"
    visited.write_text(page.read_text().replace("</body>", VISITOR + "</body>"))
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--mute-audio",
        "--autoplay-policy=no-user-gesture-required",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1280,1600",
    ]
    browser = [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}"]

    def visit(*options):
        return subprocess.run([*browser, *options], capture_output=True, text=True, timeout=120, check=True).stdout

    seen: dict[str, str] = {}
    # The page's time runs ahead of the sound, which has a thread of its own: on a busy machine it needs more of it.
    for budget_ms in (20_000, 200_000, 1_000_000):
        dumped = visit(f"--virtual-time-budget={budget_ms}", "--dump-dom", visited.as_uri())
        body = re.search(r"<body([^>]*)>", dumped)
        assert body is not None
        seen = dict(re.findall(r'data-(\w+)="([^"]*)"', body[1]))
        if "played" in seen:
            break
    assert int(seen["pictures"]) > 0
    assert seen["widths"] == "400"
    assert seen["none"] == "false0"
    assert seen["one"] == "1"
    assert seen["order"].split(",") == sorted(seen["order"].split(","))
    assert seen["played"] == "5.0"
    assert seen["pressed"] == "true"
    for name, theme in (("light.png", 1), ("dark.png", 0)):
        visit(f"--blink-settings=preferredColorScheme={theme}", f"--screenshot={tmp_path / name}", page.as_uri())
    light, dark = (cv2.imread(str(tmp_path / name)) for name in ("light.png", "dark.png"))
    assert light.shape == (1600, 1280, 3)
    # Paper is light in one and dark in the other; both show the night of the pictures and the songs in them.
    assert light[5, 5].min() > 230
    assert dark[5, 5].max() < 40
    for image in (light, dark):
        assert (image == (28, 14, 10)).all(axis=2).sum() > 1000
        blue, green, red = image.astype(int).transpose(2, 0, 1)
        assert ((red > 90) & (green < 80) & (blue > 70)).sum() > 100

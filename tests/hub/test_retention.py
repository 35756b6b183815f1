from __future__ import annotations

from hubs import fill, opened
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from birdwatch.hub.clips import Clips
from birdwatch.hub.retention import Held, to_remove


def test_the_rarest_goes_last_and_age_counts_nothing():
    common = [Held(number, 1, 0.5 + number / 100, 10) for number in range(10)]
    rare = [Held(100, 2, 0.3, 10)]
    going = to_remove([*rare, *common], 90)
    assert [clip.event for clip in going] == list(range(9))
    assert [clip.event for clip in to_remove([*rare, *common], 100)] == [*range(9), 100]


def test_a_confirmed_clip_goes_after_the_others_of_its_species():
    clips = [Held(1, 1, 0.4, 10, right=True), Held(2, 1, 0.9, 10), Held(3, 1, 0.8, 10)]
    assert [clip.event for clip in to_remove(clips, 20)] == [3, 2]


_clip = st.builds(Held, st.integers(0, 10**6), st.integers(1, 4), st.floats(0, 1), st.integers(1, 50), st.booleans())


@given(st.lists(_clip, max_size=30, unique_by=lambda clip: clip.event), st.integers(0, 2000))
def test_enough_goes_and_no_more_than_needed(clips, excess):
    going = to_remove(clips, excess)
    assert len({clip.event for clip in going}) == len(going)
    freed = sum(clip.bytes for clip in going)
    assert freed >= min(excess, sum(clip.bytes for clip in clips))
    assert not going or freed - going[-1].bytes < excess
    # No species with one clip loses it while another species has two.
    left = [clip.species for clip in clips if clip not in going]
    if left and set(left) != {clip.species for clip in clips}:
        assert max(left.count(kind) for kind in set(left)) <= 1


def test_a_hub_whose_clips_are_full_keeps_the_rarest(tmp_path):
    """Twelve clips of which three fit: one of each species stays, the best, and its file."""
    hub = opened(tmp_path)
    fill(hub, 12)
    clips = Clips(hub.store, (), tmp_path / "clips", max_bytes=3 * 100)
    with hub.store.reading() as connection:
        events = connection.execute(text("SELECT id, species, score FROM events ORDER BY id")).fetchall()
    for row in events:
        clips._keep(row.id, row.species, row.score, b"fLaC" + bytes(96))
    assert clips.prune() == 9
    best = {}
    for row in events:
        best[row.species] = max(best.get(row.species, (0.0, 0)), (row.score, row.id))
    assert len(best) == 3
    kept = {f"{number}.flac" for _, number in best.values()}
    assert {path.name for path in (tmp_path / "clips").iterdir()} == kept
    with hub.store.reading() as connection:
        assert set(connection.scalars(text("SELECT file FROM clips"))) == kept
    assert clips.prune() == 0
    hub.close()

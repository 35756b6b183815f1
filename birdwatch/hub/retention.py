"""Retention limits, and the clip to remove first: the lowest score of the species with the most clips. Pure."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CLIPS_MAX_GB", "DETAILS_MAX_DAYS", "Held", "to_remove"]

CLIPS_MAX_GB = 5.0
DETAILS_MAX_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Held:
    """A clip that the hub holds. right: a person confirmed it."""

    event: int
    species: int
    score: float
    bytes: int
    right: bool = False


def to_remove(held: Iterable[Held], excess_bytes: int) -> list[Held]:
    """Clips whose removal frees `excess_bytes`, in the order in which they go.

    Each time the clip with the lowest score of the species with the most clips goes; a confirmed one after all others
    of its species. So a species with one clip keeps it until no species has two, and a clip's age counts nothing.
    """
    by_species: dict[int, list[Held]] = defaultdict(list)
    for clip in held:
        by_species[clip.species].append(clip)
    for clips in by_species.values():
        # The best first, so that the worst is the last.
        clips.sort(key=lambda clip: (clip.right, clip.score, clip.event), reverse=True)
    heap = [(-len(clips), clips[-1].score, species) for species, clips in by_species.items()]
    heapq.heapify(heap)
    going: list[Held] = []
    while excess_bytes > 0 and heap:
        _, _, species = heapq.heappop(heap)
        clip = by_species[species].pop()
        going.append(clip)
        excess_bytes -= clip.bytes
        if left := by_species[species]:
            heapq.heappush(heap, (-len(left), left[-1].score, species))
    return going

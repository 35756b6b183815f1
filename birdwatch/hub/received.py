"""Which messages of one start of a station have been received: everything up to a number, but for holes. Pure.

message         through  holes            what becomes of it
seq 1           1                         new
seq 2           2                         new
seq 6           6        [3, 5]           new, and 3 to 5 are asked for
seq 2           6        [3, 5]           known: not stored again
seq 4           6        [3, 3] [5, 5]    new, out of a replay
gone up to 5    6                         3 and 5 are lost, and counted
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

__all__ = ["Received"]

# An ordinary station has few holes; a hostile one must not fill the memory.
MAX_HOLES = 1000


@dataclass(slots=True)
class Received:
    """Every number up to `through` was received but those in `holes` (first, last), ascending. lost: given up."""

    through: int = 0
    holes: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0

    def follows(self, seq: int) -> bool:
        """Whether `seq` leaves nothing out."""
        return seq <= self.through + 1

    def admit(self, seq: int) -> bool:
        """Note that message `seq` was received; False where it had been before."""
        if seq > self.through:
            if seq > self.through + 1:
                self.holes.append((self.through + 1, seq - 1))
            self.through = seq
            if len(self.holes) > MAX_HOLES:
                first, last = self.holes.pop(0)
                self.lost += last - first + 1
            return True
        for place, (first, last) in enumerate(self.holes):
            if first <= seq <= last:
                self.holes[place : place + 1] = [
                    part for part in ((first, seq - 1), (seq + 1, last)) if part[0] <= part[1]
                ]
                return True
        return False

    def give_up(self, after: int, up_to: int) -> int:
        """The station no longer has what is missing of `after` + 1 to `up_to`; how many that are."""
        before = self.lost
        kept: list[tuple[int, int]] = []
        for first, last in self.holes:
            low, high = max(first, after + 1), min(last, up_to)
            if low > high:
                kept.append((first, last))
                continue
            self.lost += high - low + 1
            kept += [part for part in ((first, low - 1), (high + 1, last)) if part[0] <= part[1]]
        self.holes = kept
        if up_to > self.through and after <= self.through:
            self.lost += up_to - self.through
            self.through = up_to
        return self.lost - before

    def first_missing(self) -> int:
        """The lowest number that was not received."""
        return self.holes[0][0] if self.holes else self.through + 1

    def holes_text(self) -> str:
        """The holes as JSON."""
        return json.dumps(self.holes)

    @classmethod
    def read(cls, through: int, holes: str, lost: int) -> Received:
        """The progress out of the store."""
        return cls(through, [(first, last) for first, last in json.loads(holes)], lost)

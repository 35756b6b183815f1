"""The row numbers of stations, boots, species and events in the store; new ones are added."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from birdwatch.hub.schema import boots, events, species, stations
from birdwatch.hub.store import Store

__all__ = ["Boot", "Numbers", "add_species"]

# All labels of all models known today together are a quarter of this.
MAX_SPECIES = 60_000


@dataclass(slots=True)
class Boot:
    """A station's start. listened_s: seconds listened up to its newest status, which was sent at sent_ms."""

    id: int
    station: int
    listened_s: float
    sent_ms: int | None


class Numbers:
    """Numbers known to the writer of `store`; additions are made in the connection that is given."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.load()

    def load(self) -> None:
        """Read the numbers again, after a transaction that failed."""
        with self._store.reading() as connection:
            self._stations = {
                (row.origin, row.sent_name): row.id
                for row in connection.execute(select(stations.c.origin, stations.c.sent_name, stations.c.id))
            }
            self.names = {row.id: row.name for row in connection.execute(select(stations.c.id, stations.c.name))}
            self._boots = {
                (row.station, row.boot_id): Boot(row.id, row.station, row.listened_s, row.sent_ms)
                for row in connection.execute(select(boots))
            }
            self._species = {
                row.code: (row.id, row.name)
                for row in connection.execute(select(species.c.code, species.c.id, species.c.name))
            }
            self._next_event = (connection.scalar(select(func.max(events.c.id))) or 0) + 1

    def station(self, connection: Connection, origin: str, sent_name: str) -> int:
        """The number of a station, which is added where it is new."""
        known: int | None = self._stations.get((origin, sent_name))
        if known is not None:
            return known
        taken = set(self.names.values())
        # The name that the user gave, where there is one station there; else the station's own, made unique.
        given = origin if "://" not in origin and ":" not in origin and origin not in taken else ""
        base = (given or sent_name).replace("/", "-")[:150]
        if not given and base in taken:
            base = f"{base}@{origin}".replace("/", "-")[:190]
        name, number = base, 2
        while name in taken:
            name, number = f"{base[:190]}-{number}", number + 1
        found: int = max(self.names, default=0) + 1
        connection.execute(
            insert(stations).values(id=found, origin=origin, sent_name=sent_name, name=name, unreadable=0)
        )
        self._stations[origin, sent_name] = found
        self.names[found] = name
        return found

    def next_event(self) -> int:
        """A number for a new event."""
        self._next_event += 1
        return self._next_event - 1

    def boot(self, connection: Connection, station: int, boot_id: str) -> Boot:
        """A start of a station, which is added where it is new."""
        known = self._boots.get((station, boot_id))
        if known is None:
            known = Boot(max((boot.id for boot in self._boots.values()), default=0) + 1, station, 0.0, None)
            connection.execute(
                insert(boots).values(
                    id=known.id, station=station, boot_id=boot_id, through=0, holes="[]", lost=0, listened_s=0.0
                )
            )
            self._boots[station, boot_id] = known
        return known

    def species(self, connection: Connection, code: str, name: str, scientific: str) -> int | None:
        """The number of a species, which is added where it is new; None where there are too many."""
        known = self._species.get(code)
        if known is not None:
            return int(known[0])
        # An archive may have named it by its scientific name alone, before any station did.
        earlier = self._species.pop(scientific, None) if scientific and scientific != code else None
        if earlier is not None:
            connection.execute(
                update(species).where(species.c.id == earlier[0]).values(code=code, name=name or earlier[1])
            )
            self._species[code] = (earlier[0], name)
            return int(earlier[0])
        if len(self._species) >= MAX_SPECIES:
            return None
        number = add_species(connection, code, name, scientific)
        self._species[code] = (number, name)
        return number


def add_species(connection: Connection, code: str, name: str, scientific: str) -> int:
    """The number of a species by its code; it is added where no transaction before this one has done that."""
    known: int | None = connection.scalar(select(species.c.id).where(species.c.code == code))
    if known is not None:
        return known
    number: int = (connection.scalar(select(func.max(species.c.id))) or 0) + 1
    connection.execute(
        insert(species).values(id=number, code=code, name=name or scientific or code, scientific=scientific)
    )
    return number

"""The tables of the hub's store. Times are milliseconds since 1970 (UTC), hours are counted since 1970.

Messages are numbered by `boot` and `seq`. `boots.through` and `boots.holes` say which of them are in the store; they
are written in the transaction that stores the messages, so that each is stored exactly once.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "METADATA",
    "boots",
    "clips",
    "detections",
    "effort_weeks",
    "events",
    "gaps",
    "listened",
    "properties",
    "recordings",
    "reviews",
    "species",
    "species_stations",
    "species_weeks",
    "stations",
    "statuses",
]

METADATA = MetaData()

# What belongs to the store as a whole: the password's hash, the secret of sessions.
properties = Table("properties", METADATA, Column("name", String(40), primary_key=True), Column("value", Text))

stations = Table(
    "stations",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Who published it (the name given with --station, else the endpoint), and the name in its messages.
    Column("origin", String(300), nullable=False),
    Column("sent_name", String(200), nullable=False),
    Column("name", String(200), nullable=False, unique=True),
    Column("last_seen_ms", BigInteger),
    # The newest status as it was sent.
    Column("status", Text),
    Column("unreadable", BigInteger, nullable=False, default=0),
    Column("lat", Float),
    Column("lon", Float),
    UniqueConstraint("origin", "sent_name"),
)

boots = Table(
    "boots",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("station", Integer, ForeignKey("stations.id"), nullable=False),
    Column("boot_id", String(200), nullable=False),
    # Every message up to `through` is in the store but those in `holes`: JSON, a list of [first, last].
    Column("through", BigInteger, nullable=False),
    Column("holes", Text, nullable=False, default="[]"),
    # Messages that the station no longer has.
    Column("lost", BigInteger, nullable=False, default=0),
    # Seconds of audio that its newest status had analysed, and when that was sent.
    Column("listened_s", Float, nullable=False, default=0.0),
    Column("sent_ms", BigInteger),
    UniqueConstraint("station", "boot_id"),
)

species = Table(
    "species",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("code", String(100), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("scientific", String(200), nullable=False),
)

events = Table(
    "events",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("station", Integer, ForeignKey("stations.id"), nullable=False),
    Column("species", Integer, ForeignKey("species.id"), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("score", Float, nullable=False),
    # The station's event_id, by which it finds the clip; of imported events null.
    Column("uid", String(200)),
    Column("clip", SmallInteger, nullable=False, default=0),
    Column("boot", Integer, ForeignKey("boots.id")),
    Column("seq", BigInteger),
    # The newest review: right, wrong, other, unsure; null without one.
    Column("verdict", String(10)),
    Column("verdict_species", Integer, ForeignKey("species.id")),
    Column("verdict_by", String(100)),
    Column("verdict_ms", BigInteger),
)
Index("events_time", events.c.start_ms, events.c.species, events.c.station, events.c.score)
Index("events_station", events.c.station, events.c.start_ms, events.c.score)
Index("events_species", events.c.species, events.c.start_ms, events.c.score, events.c.station)
# `id` keeps PostgreSQL from fetching each event to sort or to filter it; SQLite knows no such thing.
Index("events_best", events.c.species, events.c.score, events.c.start_ms, postgresql_include=["id"])
Index("events_score", events.c.score, events.c.start_ms, postgresql_include=["id"])
Index(
    "events_verdict",
    events.c.verdict,
    events.c.start_ms,
    events.c.species,
    events.c.station,
    sqlite_where=events.c.verdict.is_not(None),
    postgresql_where=events.c.verdict.is_not(None),
)
Index("events_message", events.c.boot, events.c.seq, unique=True)

# Every review that was ever given or taken back (verdict null).
reviews = Table(
    "reviews",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("event", BigInteger, ForeignKey("events.id"), nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("verdict", String(10)),
    Column("species", Integer, ForeignKey("species.id")),
    Column("by", String(100)),
)


def _message_table(name: str, *columns: Column[object]) -> Table:
    """A table of numbered messages, and the index by time that retention needs."""
    table = Table(
        name,
        METADATA,
        Column("boot", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        *columns,
    )
    Index(f"{name}_time", table.c.at_ms)
    return table


detections = _message_table(
    "detections",
    Column("species", Integer, ForeignKey("species.id"), nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("score", Float, nullable=False),
    Column("uid", String(200)),
)
gaps = _message_table("gaps", Column("seconds", Float, nullable=False), Column("reason", String(100), nullable=False))
recordings = _message_table(
    "recordings",
    Column("end_ms", BigInteger, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("present", Text, nullable=False),
)
statuses = _message_table("statuses", Column("state", String(40), nullable=False), Column("latency_p95_ms", Float))
Index("gaps_station", gaps.c.station, gaps.c.at_ms)

# Seconds of audio that were analysed, or skipped as digital silence, in an hour.
listened = Table(
    "listened",
    METADATA,
    Column("station", Integer, ForeignKey("stations.id"), primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("seconds", Float, nullable=False),
)
Index("listened_hour", listened.c.hour)
# A year of a station lies in as many pages as it has hours; this index holds them side by side.
Index("listened_station", listened.c.station, listened.c.hour, listened.c.seconds)

# The same summed over all stations: what the events of a species are compared with.
effort_weeks = Table(
    "effort_weeks",
    METADATA,
    Column("week", Integer, primary_key=True, autoincrement=False),
    Column("hour", SmallInteger, primary_key=True, autoincrement=False),
    Column("seconds", Float, nullable=False),
)

# Sums over events, so that no view has to read millions of them. `week`: of seven days since Monday 1969-12-29.
species_weeks = Table(
    "species_weeks",
    METADATA,
    Column("species", Integer, ForeignKey("species.id"), primary_key=True, autoincrement=False),
    Column("week", Integer, primary_key=True, autoincrement=False),
    Column("hour", SmallInteger, primary_key=True, autoincrement=False),
    Column("events", Integer, nullable=False),
)
Index(
    "species_weeks_events", species_weeks.c.species, species_weeks.c.week, species_weeks.c.hour, species_weeks.c.events
)
species_stations = Table(
    "species_stations",
    METADATA,
    Column("species", Integer, ForeignKey("species.id"), primary_key=True, autoincrement=False),
    Column("station", Integer, ForeignKey("stations.id"), primary_key=True, autoincrement=False),
    Column("events", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)

# The clips that the hub itself holds.
clips = Table(
    "clips",
    METADATA,
    Column("event", BigInteger, ForeignKey("events.id"), primary_key=True, autoincrement=False),
    Column("species", Integer, ForeignKey("species.id"), nullable=False),
    Column("score", Float, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("file", String(300), nullable=False),
)

"""The first schema, as it was: a later change of birdwatch.hub.schema is a migration of its own."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None

# In the order in which they refer to each other.
TABLES = (
    "properties",
    "stations",
    "boots",
    "species",
    "events",
    "reviews",
    "clips",
    "detections",
    "gaps",
    "recordings",
    "statuses",
    "listened",
    "effort_weeks",
    "species_weeks",
    "species_stations",
)


def upgrade() -> None:
    """Create every table and index."""
    _create_stations()
    _create_events()
    _create_reviews_and_clips()
    _create_messages()
    _create_sums()


def downgrade() -> None:
    """Drop them all, with their indexes."""
    for name in reversed(TABLES):
        op.drop_table(name)


def _create_stations() -> None:
    """What belongs to the store, its stations and their starts, and species."""
    op.create_table(
        "properties",
        Column("name", String(40), primary_key=True),
        Column("value", Text),
    )
    op.create_table(
        "stations",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("origin", String(300), nullable=False),
        Column("sent_name", String(200), nullable=False),
        Column("name", String(200), nullable=False),
        Column("last_seen_ms", BigInteger),
        Column("status", Text),
        Column("unreadable", BigInteger, nullable=False),
        Column("lat", Float),
        Column("lon", Float),
        UniqueConstraint("name"),
        UniqueConstraint("origin", "sent_name"),
    )
    op.create_table(
        "boots",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("boot_id", String(200), nullable=False),
        Column("through", BigInteger, nullable=False),
        Column("holes", Text, nullable=False),
        Column("lost", BigInteger, nullable=False),
        Column("listened_s", Float, nullable=False),
        Column("sent_ms", BigInteger),
        UniqueConstraint("station", "boot_id"),
    )
    op.create_table(
        "species",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("code", String(100), nullable=False),
        Column("name", String(200), nullable=False),
        Column("scientific", String(200), nullable=False),
        UniqueConstraint("code"),
    )


def _create_events() -> None:
    """Events and their indexes."""
    op.create_table(
        "events",
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("species", Integer, ForeignKey("species.id"), nullable=False),
        Column("start_ms", BigInteger, nullable=False),
        Column("end_ms", BigInteger, nullable=False),
        Column("score", Float, nullable=False),
        Column("uid", String(200)),
        Column("clip", SmallInteger, nullable=False),
        Column("boot", Integer, ForeignKey("boots.id")),
        Column("seq", BigInteger),
        Column("verdict", String(10)),
        Column("verdict_species", Integer, ForeignKey("species.id")),
        Column("verdict_by", String(100)),
        Column("verdict_ms", BigInteger),
    )
    op.create_index("events_best", "events", ["species", "score", "start_ms"])
    op.create_index("events_message", "events", ["boot", "seq"], unique=True)
    op.create_index("events_score", "events", ["score", "start_ms"])
    op.create_index("events_species", "events", ["species", "start_ms", "score", "station"])
    op.create_index("events_station", "events", ["station", "start_ms", "score"])
    op.create_index("events_time", "events", ["start_ms", "species", "station", "score"])
    op.create_index(
        "events_verdict",
        "events",
        ["verdict", "start_ms", "species", "station"],
        sqlite_where=text("verdict IS NOT NULL"),
        postgresql_where=text("verdict IS NOT NULL"),
    )


def _create_reviews_and_clips() -> None:
    """What is kept beside an event."""
    op.create_table(
        "reviews",
        Column("id", Integer, primary_key=True),
        Column("event", BigInteger, ForeignKey("events.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("verdict", String(10)),
        Column("species", Integer, ForeignKey("species.id")),
        Column("by", String(100)),
    )
    op.create_index("ix_reviews_event", "reviews", ["event"])
    op.create_table(
        "clips",
        Column("event", BigInteger, ForeignKey("events.id"), primary_key=True, autoincrement=False),
        Column("species", Integer, ForeignKey("species.id"), nullable=False),
        Column("score", Float, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("file", String(300), nullable=False),
    )


def _create_messages() -> None:
    """Messages other than events."""
    op.create_table(
        "detections",
        Column("boot", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("species", Integer, ForeignKey("species.id"), nullable=False),
        Column("end_ms", BigInteger, nullable=False),
        Column("score", Float, nullable=False),
        Column("uid", String(200)),
    )
    op.create_index("detections_time", "detections", ["at_ms"])
    op.create_table(
        "gaps",
        Column("boot", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("seconds", Float, nullable=False),
        Column("reason", String(100), nullable=False),
    )
    op.create_index("gaps_station", "gaps", ["station", "at_ms"])
    op.create_index("gaps_time", "gaps", ["at_ms"])
    op.create_table(
        "recordings",
        Column("boot", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("end_ms", BigInteger, nullable=False),
        Column("windows", Integer, nullable=False),
        Column("present", Text, nullable=False),
    )
    op.create_index("recordings_time", "recordings", ["at_ms"])
    op.create_table(
        "statuses",
        Column("boot", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("state", String(40), nullable=False),
        Column("latency_p95_ms", Float),
    )
    op.create_index("statuses_time", "statuses", ["at_ms"])


def _create_sums() -> None:
    """Seconds listened, and sums over events."""
    op.create_table(
        "listened",
        Column("station", Integer, ForeignKey("stations.id"), primary_key=True, autoincrement=False),
        Column("hour", Integer, primary_key=True, autoincrement=False),
        Column("seconds", Float, nullable=False),
    )
    op.create_index("listened_hour", "listened", ["hour"])
    op.create_table(
        "effort_weeks",
        Column("week", Integer, primary_key=True, autoincrement=False),
        Column("hour", SmallInteger, primary_key=True, autoincrement=False),
        Column("seconds", Float, nullable=False),
    )
    op.create_table(
        "species_weeks",
        Column("species", Integer, ForeignKey("species.id"), primary_key=True, autoincrement=False),
        Column("week", Integer, primary_key=True, autoincrement=False),
        Column("hour", SmallInteger, primary_key=True, autoincrement=False),
        Column("events", Integer, nullable=False),
    )
    op.create_table(
        "species_stations",
        Column("species", Integer, ForeignKey("species.id"), primary_key=True, autoincrement=False),
        Column("station", Integer, ForeignKey("stations.id"), primary_key=True, autoincrement=False),
        Column("events", Integer, nullable=False),
        Column("first_ms", BigInteger, nullable=False),
        Column("last_ms", BigInteger, nullable=False),
    )

"""Indexes that hold all that a view reads: of PostgreSQL, which else fetches each row from a page of its own."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

WITH_ID = {"events_best": ["species", "score", "start_ms"], "events_score": ["score", "start_ms"]}


def upgrade() -> None:
    """Add them; of PostgreSQL, add the event's number to two, and let its vacuum follow what is inserted."""
    op.create_index("listened_station", "listened", ["station", "hour", "seconds"])
    op.create_index("species_weeks_events", "species_weeks", ["species", "week", "hour", "events"])
    if _is_postgresql():
        for name, columns in WITH_ID.items():
            op.drop_index(name, "events")
            op.create_index(name, "events", columns, postgresql_include=["id"])
        # An index alone answers for pages that a vacuum has seen; by default it comes after a fifth of all rows.
        op.execute(
            "ALTER TABLE events SET (autovacuum_vacuum_insert_scale_factor = 0, "
            "autovacuum_vacuum_insert_threshold = 5000)"
        )


def downgrade() -> None:
    """Take them away."""
    if _is_postgresql():
        op.execute(
            "ALTER TABLE events RESET (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold)"
        )
        for name, columns in WITH_ID.items():
            op.drop_index(name, "events")
            op.create_index(name, "events", columns)
    op.drop_index("species_weeks_events", "species_weeks")
    op.drop_index("listened_station", "listened")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"

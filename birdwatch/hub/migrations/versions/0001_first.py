"""The first schema: all tables of birdwatch.hub.schema as of this version."""

from __future__ import annotations

from alembic import op

from birdwatch.hub.schema import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table and index."""
    METADATA.create_all(op.get_bind())


def downgrade() -> None:
    """Drop them all."""
    METADATA.drop_all(op.get_bind())

"""Alembic's environment: the connection comes from birdwatch.hub.store, never from a configuration file."""

from __future__ import annotations

from alembic import context

from birdwatch.hub.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

"""Migrations lead to the tables of birdwatch.hub.schema, and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

import birdwatch.hub.migrations
from birdwatch.hub.schema import METADATA
from birdwatch.hub.store import Store


def test_the_migrations_make_the_tables_of_the_schema(store):
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_conditions_of_indexes_are_those_of_the_schema(tmp_path):
    """`compare_metadata` does not compare them."""
    Store(f"sqlite:///{tmp_path / 'migrated.db'}").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    METADATA.create_all(engine)
    engine.dispose()

    def indexes(path: Path) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as database:
            wanted = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
            return database.execute(wanted).fetchall()

    assert indexes(tmp_path / "migrated.db") == indexes(tmp_path / "made.db")


def test_a_store_can_be_taken_back_to_nothing(store):
    config = Config()
    config.set_main_option("script_location", str(Path(birdwatch.hub.migrations.__file__).parent))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_store_that_is_up_to_date_is_left_as_it_is(store_url):
    store = Store(store_url)
    store.set_property("password", "x")
    store.close()
    again = Store(store_url)
    assert again.property("password") == "x"
    again.close()

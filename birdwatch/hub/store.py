"""The store: opens SQLite or PostgreSQL, migrates its tables, and ensures that only one hub writes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from birdwatch.errors import ConfigError, SinkError
from birdwatch.extras import install_command
from birdwatch.file_lock import FileLock
from birdwatch.hub.schema import properties

__all__ = ["Store", "default_url"]

# Readers wait this long for a writer of SQLite, and for a connection of the pool.
BUSY_S = 10.0
# Of a PostgreSQL advisory lock: "birdwatch" as a number, the same for every hub.
LOCK = 0x62697264


def default_url(state_folder: Path) -> str:
    """The embedded database in the state folder."""
    return f"sqlite:///{state_folder / 'hub.db'}"


class Store:
    """The database at `url`, with current tables. Raises ConfigError for a URL that is none, SinkError otherwise.

    read_only: nothing is migrated, and no lock is taken, so that a running hub can be looked at.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._url = _parsed(url)
        self._lock: FileLock | None = None
        self._locked: Connection | None = None
        if read_only and self.file is not None and not self.file.is_file():
            raise SinkError(
                f"there is no store {self.file}; name one with --store, or start `birdwatch hub`", path=self.file
            )
        try:
            self.engine = self._engine()
            if not read_only:
                self._take()
                with self.engine.begin() as connection:
                    _migrate(connection)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"--store {self.name} needs the package {error.name}: {install_command('hub')}", setting="store"
            ) from error
        except BlockingIOError as error:
            raise SinkError(f"the store {self.name} is {error.strerror}") from error
        except (SQLAlchemyError, OSError) as error:
            self.close()
            raise SinkError(f"the store {self.name} cannot be opened: {reason(error)}") from error

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""
        return Path(self._url.database) if self.is_sqlite and self._url.database else None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is the embedded database."""
        return self._url.get_backend_name() == "sqlite"

    def insert(self, table: Any) -> Any:
        """An insert that knows `on_conflict_do_update`."""
        if self.is_sqlite:
            from sqlalchemy.dialects.sqlite import insert as made
        else:
            from sqlalchemy.dialects.postgresql import insert as made  # type: ignore[assignment]
        return made(table)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with. Raises SinkError where the database does not answer."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise SinkError(f"the store does not answer: {reason(error)}") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction. Raises SinkError where it cannot be committed; nothing of it is then in the store."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise SinkError(f"the store cannot be written: {reason(error)}") from error

    def property(self, name: str) -> str | None:
        """A property of the store, such as the password's hash."""
        with self.reading() as connection:
            value = connection.scalar(select(properties.c.value).where(properties.c.name == name))
        return None if value is None else str(value)

    def set_property(self, name: str, value: str | None) -> None:
        """Set or, with None, remove a property."""
        with self.writing() as connection:
            connection.execute(delete(properties).where(properties.c.name == name))
            if value is not None:
                connection.execute(insert(properties).values(name=name, value=value))

    def backup(self, path: Path) -> None:
        """Copy the embedded database to a new file, while a hub may be writing. Raises SinkError."""
        if self.file is None:
            raise SinkError("hub backup copies SQLite stores; use pg_dump for PostgreSQL")
        if path.exists():
            raise SinkError(f"{path} exists and is not replaced; name a new file", path=path)
        part = path.with_name(f".{path.name}.part")
        try:
            with closing(sqlite3.connect(self.file)) as source, closing(sqlite3.connect(part)) as target:
                source.backup(target, pages=1000)
            part.replace(path)
        except (sqlite3.Error, OSError) as error:
            raise SinkError(f"{path} could not be written: {error}", path=path) from error
        finally:
            part.unlink(missing_ok=True)

    def settle(self) -> None:
        """After many new rows: run PostgreSQL's VACUUM ANALYZE, for statistics and index-only scans."""
        if not self.is_sqlite:
            with self.reading() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM (ANALYZE) events"))

    def free_bytes(self) -> int | None:
        """Free space beside the embedded database."""
        return None if self.file is None else shutil.disk_usage(self.file.absolute().parent).free

    def close(self) -> None:
        """Close the database."""
        if self._locked is not None:
            self._locked.close()
            self._locked = None
        if hasattr(self, "engine"):
            self.engine.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _engine(self) -> Engine:
        if not self.is_sqlite:
            return create_engine(self._url, pool_size=8, pool_pre_ping=True, pool_timeout=BUSY_S)
        if self.file is not None:
            self.file.absolute().parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(self._url, connect_args={"timeout": BUSY_S}, pool_size=8, pool_timeout=BUSY_S)
        event.listen(engine, "connect", _prepare)
        return engine

    def _take(self) -> None:
        """Become the only writer."""
        if self.file is not None:
            self._lock = FileLock(self.file.with_name(self.file.name + ".lock"))
        elif not self.is_sqlite:
            self._locked = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if not self._locked.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
                raise BlockingIOError(0, "in use by another birdwatch hub: each needs its own")


def reason(error: BaseException) -> str:
    """The first line of what the driver says, without the statement."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError:
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"store is {url!r}, expected sqlite:////folder/hub.db or postgresql://user@host/database", setting="store"
        )
    # psycopg 3 and no other driver.
    return parsed.set(drivername="postgresql+psycopg") if backend == "postgresql" else parsed


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # NORMAL: after a power cut the last transactions may be gone, with the positions in them; replay brings them back.
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -8000"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

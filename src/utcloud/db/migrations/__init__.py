"""Alembic migrations. ``upgrade(url)`` brings a database to the newest form."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config


def config(url: str, metadata: Any = None) -> Config:
    """Alembic's configuration for the database at ``url`` (with its async driver)."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["url"] = url
    made.attributes["metadata"] = metadata
    return made


def upgrade(url: str) -> None:
    """Bring the database at ``url`` to the newest form. Call it outside an event loop."""
    command.upgrade(config(url), "heads")

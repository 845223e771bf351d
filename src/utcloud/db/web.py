"""What routes take from the app: database, clock, settings. Async functions, because others are run in threads."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db.database import Database


async def _database(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


async def _now(request: Request) -> datetime:
    clock: Clock = request.app.state.clock
    return clock.now()


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Db = Annotated[Database, Depends(_database)]
Now = Annotated[datetime, Depends(_now)]
AppSettings = Annotated[Settings, Depends(_settings)]

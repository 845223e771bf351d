"""What routes take from the app: its database and its clock."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from utcloud.common.clock import Clock
from utcloud.db.database import Database


def _database(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


def _now(request: Request) -> datetime:
    clock: Clock = request.app.state.clock
    return clock.now()


Db = Annotated[Database, Depends(_database)]
Now = Annotated[datetime, Depends(_now)]

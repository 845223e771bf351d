"""Answers kept for calls that carry an ``Idempotency-Key``."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, utcnow_column


class KeptAnswer(Base):
    """What a creating call answered. ``status`` 0: it is still running."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the actor's id and the key that he chose."""
    request_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the call and the key, so that nobody else can guess what was sent."""
    status: Mapped[int] = mapped_column(default=0)
    content_type: Mapped[str] = mapped_column(String(100), default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    """Encrypted under the key, which is kept nowhere."""
    created_at: Mapped[datetime] = utcnow_column()
    """Of a call that runs: when it last said so."""

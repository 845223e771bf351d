"""Tables of the routes that the edge shall have, and of opening codes."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, SealedText, ShortText, utcnow_column

_IS_LIVE = text("upstream <> ''")


class Route(Base):
    """A replica's web page, under one host name as long as the replica exists. It opens only to the cookie that carries
    ``secret``."""

    __tablename__ = "edge_routes"
    __table_args__ = (
        Index("uq_edge_routes_upstream", "upstream", unique=True, sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE),
    )

    replica_id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(index=True)
    site_id: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """The site that named ``upstream``."""
    host_label: Mapped[str] = mapped_column(String(63), unique=True)
    """First label of its host name; not guessable, and says nothing."""
    upstream: Mapped[ShortText]
    """``address:port`` of the page, as ``addresses.Endpoint`` writes it; no other route has the same. Empty while there
    is no page."""
    upstream_token: Mapped[str] = mapped_column(SealedText("edge_routes.upstream_token"), default="")
    """Sent along as ``Authorization: token …``, so the page itself also asks for a credential."""
    secret: Mapped[str] = mapped_column(SealedText("edge_routes.secret"))
    created_at: Mapped[datetime] = utcnow_column()


class OpeningCode(Base):
    """Opens a route once, within a minute. Only its hash is kept."""

    __tablename__ = "opening_codes"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    replica_id: Mapped[Id] = mapped_column(ForeignKey("edge_routes.replica_id", ondelete="CASCADE"), index=True)
    path: Mapped[ShortText] = mapped_column(default="/lab")
    expires_at: Mapped[datetime]

"""Tables of assets, their versions and files, and uploads under way."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, ShortText, utcnow_column


class Asset(Base):
    """An algorithm, a dataset or a model: a name under which versions of a folder are kept."""

    __tablename__ = "assets"
    __table_args__ = (
        CheckConstraint("kind in ('algorithm', 'dataset', 'model')", name="kind"),
        CheckConstraint("visibility in ('private', 'group', 'preset')", name="visibility"),
        UniqueConstraint("owner_id", "kind", "name"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    visibility: Mapped[str] = mapped_column(String(16), default="private")
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id"))
    created_at: Mapped[datetime] = utcnow_column()


class AssetVersion(Base):
    """One content of an asset. A draft takes uploads; once ``ready`` it never changes."""

    __tablename__ = "asset_versions"
    __table_args__ = (
        CheckConstraint("status in ('draft', 'processing', 'ready', 'failed')", name="status"),
        UniqueConstraint("asset_id", "number"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    asset_id: Mapped[Id] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    number: Mapped[int]
    status: Mapped[str] = mapped_column(String(16), default="draft")
    reason: Mapped[str] = mapped_column(Text, default="")
    note: Mapped[str] = mapped_column(Text, default="")
    size: Mapped[int] = mapped_column(default=0)
    files: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = utcnow_column()


class VersionFile(Base):
    """One file of a version. ``path`` is relative, with ``/``; the content lies in the object store under its hash."""

    __tablename__ = "version_files"

    version_id: Mapped[Id] = mapped_column(ForeignKey("asset_versions.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    executable: Mapped[bool] = mapped_column(default=False)


class Upload(Base):
    """A tus upload under way: the bytes so far lie in a file named after its id."""

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_expires_at", "expires_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    version_id: Mapped[Id] = mapped_column(ForeignKey("asset_versions.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    path: Mapped[str] = mapped_column(String(1024))
    """Path inside the version; of an archive: its file name, whose content is unpacked at the root."""
    is_archive: Mapped[bool] = mapped_column(default=False)
    length: Mapped[int]
    offset: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = utcnow_column()


class StorageQuota(Base):
    """What an operator lets one user keep. Without a row, or where a number is null, the settings say it."""

    __tablename__ = "storage_quotas"

    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    max_bytes: Mapped[int | None]
    max_files: Mapped[int | None]


class Image(Base):
    """A container image. ``reference`` is what the engine calls it. A preset one is everybody's."""

    __tablename__ = "images"
    __table_args__ = (CheckConstraint("visibility in ('private', 'group', 'preset')", name="visibility"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    reference: Mapped[ShortText] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    visibility: Mapped[str] = mapped_column(String(16), default="preset")
    jupyter: Mapped[bool] = mapped_column(default=True)
    """It contains JupyterLab."""
    created_at: Mapped[datetime] = utcnow_column()

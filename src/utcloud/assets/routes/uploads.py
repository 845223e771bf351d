"""Uploads that resume: tus 1.0.0 with creation, creation-with-upload, termination and expiration."""

from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.requests import ClientDisconnect

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import IdPath
from utcloud.assets import uploads
from utcloud.common import bodies
from utcloud.common.settings import Settings
from utcloud.db.web import Db, Now

_PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}}
router = APIRouter(
    prefix="/uploads",
    tags=["uploads"],
    responses={
        412: {"description": "Another version of the protocol", **_PROBLEM},
        413: {"description": "Too large", **_PROBLEM},
        415: {"description": "The bytes came with another content type", **_PROBLEM},
    },
)

VERSION = "1.0.0"
_EXTENSIONS = "creation,creation-with-upload,termination,expiration"
_MEDIA_TYPE = "application/offset+octet-stream"
_BYTES = {"requestBody": {"content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}}

Resumable = Annotated[str, Header(alias="Tus-Resumable", max_length=16, description="Version of the protocol: 1.0.0.")]
Length = Annotated[int, Header(alias="Upload-Length", ge=0, le=2**53, description="Bytes in all.")]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, le=2**53, description="Where these bytes begin.")]
Metadata = Annotated[
    str,
    Header(
        alias="Upload-Metadata",
        max_length=8192,
        description="`version_id <Base64>,path <Base64>` and, to have an archive unpacked, `archive dHJ1ZQ==`.",
    ),
]


@router.options("", status_code=204)
async def get_upload_protocol(request: Request) -> Response:
    """What this tus server can do."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": _EXTENSIONS,
        "Tus-Max-Size": str(_settings(request).max_upload_bytes),
    }
    return _answer(204, headers)


@router.post("", status_code=201, openapi_extra=_BYTES)
async def create_upload(
    request: Request,
    actor: CurrentActor,
    db: Db,
    now: Now,
    length: Length,
    metadata: Metadata,
    resumable: Resumable = VERSION,
) -> Response:
    """Begin an upload into a draft version. Its address is in `Location`; bytes may come along at once."""
    _check_version(resumable)
    settings = _settings(request)
    wish = uploads.parse_metadata(metadata)
    async with db.write() as tx:
        upload = await uploads.create(tx, now, actor, settings, wish, length)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _MEDIA_TYPE:
        upload = await uploads.append(
            db, now, actor, settings, upload.id, 0, _content_length(request), _chunks(request)
        )
    location = f"{request.url.path.rstrip('/')}/{upload.id}"
    return _answer(201, {"Location": location, **_progress(upload.offset, upload.expires_at)})


@router.head("/{upload_id}")
async def get_upload(
    upload_id: IdPath, request: Request, actor: CurrentActor, db: Db, now: Now, resumable: Resumable = VERSION
) -> Response:
    """How many bytes have arrived: where to go on."""
    _check_version(resumable)
    async with db.read() as tx:
        upload = await uploads.get(tx, now, actor, upload_id)
    offset = await uploads.received(_settings(request), upload)
    headers = {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    return _answer(200, headers | _progress(offset, upload.expires_at))


@router.patch("/{upload_id}", status_code=204, openapi_extra=_BYTES)
async def append_to_upload(
    upload_id: IdPath,
    request: Request,
    actor: CurrentActor,
    db: Db,
    now: Now,
    offset: Offset,
    resumable: Resumable = VERSION,
) -> Response:
    """Send bytes. What arrived before a cut is kept."""
    _check_version(resumable)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise uploads.UnsupportedMediaType(
            "The bytes came with another content type.",
            field="Content-Type",
            cure=f"Send `Content-Type: {_MEDIA_TYPE}`.",
        )
    upload = await uploads.append(
        db, now, actor, _settings(request), upload_id, offset, _content_length(request), _chunks(request)
    )
    return _answer(204, _progress(upload.offset, upload.expires_at))


@router.delete("/{upload_id}", status_code=204)
async def delete_upload(
    upload_id: IdPath, request: Request, actor: CurrentActor, db: Db, now: Now, resumable: Resumable = VERSION
) -> Response:
    """Give an upload up."""
    _check_version(resumable)
    await uploads.terminate(db, now, actor, _settings(request), upload_id)
    return _answer(204, {})


def _answer(status: int, headers: dict[str, str]) -> Response:
    return Response(status_code=status, headers={"Tus-Resumable": VERSION, **headers})


def _progress(offset: int, expires_at: datetime) -> dict[str, str]:
    return {"Upload-Offset": str(offset), "Upload-Expires": format_datetime(expires_at, usegmt=True)}


def _check_version(resumable: str) -> None:
    if resumable != VERSION:
        raise uploads.PreconditionFailed(
            f"This server speaks tus {VERSION}.", field="Tus-Resumable", cure=f"Send `Tus-Resumable: {VERSION}`."
        )


def _content_length(request: Request) -> int | None:
    value = request.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body; a cut connection ends it, as the end of the bytes does. Asked for it once it is known whose it is and
    how much may come, which ``uploads.append`` watches.
    """
    bodies.allow(request.scope, _settings(request).max_upload_bytes, uploads.SILENCE_S)
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        return


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings

"""Uploading a folder or a file as a new version of an asset: resumable (tus), with a progress bar.

A folder goes over as one tar file that comes out the same each time, so that it too can be resumed. What is under way
is noted in ``$UTCLOUD_HOME/cli-uploads.json``; the same command goes on from there.
"""

import hashlib
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from utcloud.cli.client import Api, Json
from utcloud.cli.common import pause
from utcloud.cli.errors import CliError
from utcloud.cli.output import note
from utcloud.cli.processes import load_settings

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_LEFT_OUT = {".git", "__pycache__", ".ipynb_checkpoints"}
_CHUNK = 8 * 2**20


def default_name(source: Path) -> str:
    """What an asset is called that is made from ``source``."""
    name = source.absolute().name
    suffix = next((end for end in sorted(_ARCHIVES, key=len, reverse=True) if name.lower().endswith(end)), "")
    return name.removesuffix(name[len(name) - len(suffix) :]) if suffix else name


def upload(api: Api, path: str, name: str, source: Path, fields: Json, version_note: str) -> Json:
    """Upload ``source`` as a new version of one's own asset of that name; return the version when it is ready.

    ``path`` is ``algorithms``, ``datasets`` or ``models``; ``fields`` are for a new asset. With the visibility
    ``preset`` in them, the asset of that name is a preset one that one may change. Raises CliError when it is
    refused or the connection is lost for good.
    """
    files = list(_files(source))
    if not files:
        raise CliError(f"There is no file in {source}.", "Name a folder with files in it, or an archive.")
    preset = fields.get("visibility") == "preset"
    asset = _asset_named(api, path, name, preset) or api.post(path, {"name": name, **fields})
    key = _fingerprint(api.server, asset["id"], source, files)
    under_way = _Notes(load_settings().home / "cli-uploads.json", key)
    version = _draft(api, f"{path}/{asset['id']}", under_way, version_note)
    with _content(source, files) as content:
        _send(api, content, _metadata(version["id"], source), under_way)
    here = f"{path}/{asset['id']}/versions/{version['number']}"
    api.post(f"{here}/publish")
    done = _ready(api, here)
    under_way.forget()
    return done


def _asset_named(api: Api, path: str, name: str, preset: bool) -> Json | None:
    query = {"visibility": "preset"} if preset else {"mine": True}
    found = api.every(path, search=name, **query)
    return next((item for item in found if item["name"] == name and item["can_change"]), None)


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    """The files to send, as names inside the version, in a lasting order."""
    if source.is_file():
        yield source.name, source
        return
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_file():
                yield file.relative_to(source).as_posix(), file


def _fingerprint(server: str, asset_id: str, source: Path, files: list[tuple[str, Path]]) -> str:
    listed = [[name, file.stat().st_size, file.stat().st_mtime_ns] for name, file in files]
    return hashlib.sha256(json.dumps([server, asset_id, str(source.absolute()), listed]).encode()).hexdigest()


def _is_archive(source: Path) -> bool:
    return source.is_dir() or source.name.lower().endswith(_ARCHIVES)


def _metadata(version_id: str, source: Path) -> dict[str, str]:
    name = "folder.tar" if source.is_dir() else source.name
    return {"version_id": version_id, "path": name, **({"archive": "true"} if _is_archive(source) else {})}


class _Notes:
    """What is noted of one upload under way: the draft's number and the upload's address."""

    def __init__(self, file: Path, key: str) -> None:
        self._file, self._key = file, key

    def _all(self) -> Json:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def get(self) -> Json:
        found = self._all().get(self._key)
        return found if isinstance(found, dict) else {}

    def put(self, **values: object) -> None:
        self._write(self._all() | {self._key: self.get() | values})

    def forget(self) -> None:
        self._write({key: value for key, value in self._all().items() if key != self._key})

    def _write(self, content: Json) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(content))
        draft.replace(self._file)


def _draft(api: Api, asset: str, under_way: _Notes, version_note: str) -> Json:
    """The draft that the same command began earlier, or a new one."""
    number = under_way.get().get("number")
    for version in api.get(asset)["all_versions"] if number else []:
        if version["number"] == number and version["status"] == "draft":
            note("Going on with the upload that was begun earlier.")
            return dict(version)
    under_way.forget()
    made: Json = api.post(f"{asset}/versions", {"note": version_note})
    under_way.put(number=made["number"])
    return made


@contextmanager
def _content(source: Path, files: list[tuple[str, Path]]) -> Iterator[IO[bytes]]:
    """The bytes to send: the file itself, or the folder as a tar that does not depend on when it is made."""
    if source.is_file():
        with source.open("rb") as whole:
            yield whole
        return
    with tempfile.TemporaryFile(prefix="utcloud-") as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, file in files:
                entry = tarfile.TarInfo(name)
                entry.size = file.stat().st_size
                entry.mode = 0o755 if os.access(file, os.X_OK) and file.stat().st_mode & 0o111 else 0o644
                with file.open("rb") as content:
                    tar.addfile(entry, content)
        packed.seek(0)
        yield packed


def _send(api: Api, content: IO[bytes], metadata: dict[str, str], under_way: _Notes) -> None:
    headers = {"Authorization": api.client.headers["Authorization"]}
    options = {"file_stream": content, "chunk_size": _CHUNK, "metadata": metadata, "retries": 6, "retry_delay": 1}
    client = TusClient(f"{api.server}/api/v1/uploads", headers=headers)
    try:
        uploader = _resumed(client, options, under_way.get().get("url"))
        if uploader is None:
            uploader = client.uploader(**options)
            uploader.set_url(uploader.create_url())
            under_way.put(url=uploader.url)
        size = uploader.get_file_size()
        with _progress() as progress:
            bar = progress.add_task("Uploading", total=size, completed=uploader.offset)
            while uploader.offset < size:
                uploader.upload_chunk()
                progress.update(bar, completed=uploader.offset)
    except TusCommunicationError as error:
        raise _refusal(error) from error


def _resumed(client: TusClient, options: Json, url: str | None) -> Any:
    """An uploader that goes on at ``url``; None when the server has forgotten it."""
    if url is None:
        return None
    try:
        return client.uploader(**options, url=url)
    except TusCommunicationError as error:
        if error.status_code in (404, 410):
            return None
        raise


def _refusal(error: TusCommunicationError) -> CliError:
    try:
        problem = json.loads(error.response_content or b"")
        return CliError(str(problem["detail"]), problem.get("cure"))
    except (ValueError, KeyError, TypeError):
        return CliError(f"The upload was cut: {error}", "Run the same command again: it goes on where it was cut.")


def _progress() -> Progress:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns, console=Console(file=sys.stderr), transient=True)


def _ready(api: Api, version: str) -> Json:
    """Wait until the server has unpacked it. A draft again: the storage quota does not hold it, and nothing is lost."""
    said = ""
    while True:
        found: Json = api.get(version)
        if found["status"] == "ready":
            return found
        if found["status"] == "failed":
            raise CliError(f"The upload cannot be used: {found['reason']}", "Correct it and upload it again.")
        if found["status"] == "draft":
            raise CliError(found["reason"], "Run the same command again then: what was sent is kept.")
        if found["reason"] != said:
            said = found["reason"]
            note(said)
        pause()

"""The way to the server. Always outbound; the server never calls a site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from utcloud.common.settings import Settings
from utcloud.protocol import DesiredState, Manifest, ReportAnswer, SiteReport
from utcloud.site.errors import ServerAway, ServerRefused

M = TypeVar("M", bound=BaseModel)
_CHUNK = 2**18


class Link:
    """HTTP to the server: through its socket on this machine when there is one, else to its public address.

    All methods raise ServerAway or ServerRefused.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def desired(self, after: int, wait_s: int) -> DesiredState | None:
        """Wait up to ``wait_s`` seconds for a desired state other than revision ``after``; None when it did not change.

        ``after=-1`` is answered at once.
        """
        params = {"after": str(after), "wait": str(wait_s)}
        async with self._request("GET", "/agent/desired", params=params, timeout_s=wait_s + 15) as response:
            if response.status in (204, 304):
                return None
            state = _parse(DesiredState, await response.read())
            return None if state.revision == after else state

    async def report(self, report: SiteReport, timeout_s: float = 20) -> ReportAnswer:
        """Tell the server what was seen."""
        body = report.model_dump_json().encode()
        async with self._request("POST", "/agent/reports", data=body, timeout_s=timeout_s) as response:
            return _parse(ReportAnswer, await response.read())

    async def manifest(self, version_id: str) -> Manifest:
        """The list of files of a version."""
        async with self._request("GET", f"/agent/manifests/{version_id}", timeout_s=60) as response:
            return _parse(Manifest, await response.read())

    async def blob(self, sha256: str) -> AsyncIterator[bytes]:
        """The content of a file, in chunks."""
        async with self._request("GET", f"/agent/blobs/{sha256}", timeout_s=None) as response:
            async for chunk in response.content.iter_chunked(_CHUNK):
                yield chunk

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float | None,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        session, base = self._route()
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=10, sock_read=60 if timeout_s is None else None)
        headers = {"Authorization": f"Bearer {self._token()}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with session.request(
                method, base + path, params=params, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status >= 500 or response.status == 429:
                    raise ServerAway(f"the server answered {response.status}", _retry_after(response))
                if response.status >= 300 and response.status != 304:
                    raise ServerRefused(response.status, (await response.text())[:500])
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerAway(f"{error or type(error).__name__}") from error

    def _route(self) -> tuple[aiohttp.ClientSession, str]:
        socket = self._settings.server_socket
        local = not self._settings.server_url and socket.exists()
        if local not in self._sessions:
            connector = aiohttp.UnixConnector(str(socket)) if local else aiohttp.TCPConnector()
            self._sessions[local] = aiohttp.ClientSession(connector=connector)
        return self._sessions[local], "http://localhost/api/v1" if local else self._settings.api_url

    def _token(self) -> str:
        try:
            return self._settings.token_file.read_text().strip()
        except OSError as error:
            raise ServerAway(f"no token at {self._settings.token_file}: {error.strerror}") from error


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """For how many seconds the server wants to be left alone; no more than a minute, whatever it says."""
    try:
        return min(max(float(response.headers.get("Retry-After", "0")), 0.0), 60.0)
    except ValueError:
        return 0.0


def _parse(kind: type[M], content: bytes) -> M:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ServerAway(f"the server sent something that is not a {kind.__name__}: {error.errors()[:3]}") from error

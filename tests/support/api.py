"""The REST API as a program sees it: JSON in, JSON out, refusals as exceptions that carry the problem."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
Json = dict[str, Any]
CHUNK = 4 * 2**20


class Refused(Exception):  # noqa: N818
    """The API answered with an error. ``problem`` is its body."""

    def __init__(self, status: int, problem: Json):
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem


def wait_for(look: Callable[[], T | None], what: str, timeout: float = 60, every: float = 0.1) -> T:
    """Look until something is there; fail by saying ``what`` never came."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}; last seen: {found!r}")
        time.sleep(every)


class Api:
    """One user's access. ``origin`` such as http://127.0.0.1:8080, ``host`` what the Host header says."""

    def __init__(self, origin: str, host: str, token: str = ""):
        self.origin, self.host = origin, host
        headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
        # Nothing here is https, and to read the system's CAs takes longer than a request.
        self.http = httpx.Client(
            base_url=f"{origin}/api/v1", headers=headers, timeout=60, trust_env=False, verify=False
        )

    def login(self, username: str, password: str) -> "Api":
        """Another access, with a token of this user's."""
        made = self.post("/auth/tokens", {"username": username, "password": password, "name": "test"})
        return Api(self.origin, self.host, made["token"])

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Answer the parsed body, or None for an empty one. Raises Refused."""
        answer = self.http.request(method, path, **({"json": body} if body is not None else {}), **more)
        if answer.is_error:
            kind = answer.headers.get("content-type", "")
            assert kind.startswith("application/problem+json"), f"{method} {path}: {answer.status_code} {answer.text}"
            raise Refused(answer.status_code, answer.json())
        return answer.json() if answer.content else None

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("POST", path, body, **more)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def all(self, path: str, **params: Any) -> list[Json]:
        """Every item of a list, page by page."""
        items: list[Json] = []
        cursor = None
        while True:
            page = self.get(path, **params, limit=200, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def named(self, path: str, name: str) -> Json | None:
        """The item with this name, if there is one."""
        return next((one for one in self.all(path) if one["name"] == name), None)

    # Notebooks

    def notebook(self, ident: str) -> Json:
        found: Json = self.get(f"/notebooks/{ident}")
        return found

    def wait_state(self, ident: str, *wanted: str, timeout: float = 90) -> Json:
        """Wait until a notebook is in one of these states; fail at once when it has failed instead."""

        def look() -> Json | None:
            one = self.notebook(ident)
            if one["state"] == "failed" and "failed" not in wanted:
                raise AssertionError(f"notebook {one['name']} failed: {one['reason']}\n{one['log_tail']}")
            return one if one["state"] in wanted else None

        return wait_for(look, f"notebook {ident} {' or '.join(wanted)} (is {self.notebook(ident)['state']})", timeout)

    # Uploads (tus 1.0.0)

    def begin_upload(self, version_id: str, path: str, size: int, *, archive: bool = False) -> str:
        """Create an upload; its path under the API."""
        fields = {"version_id": version_id, "path": path} | ({"archive": "true"} if archive else {})
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items())
        answer = self.http.post(
            "/uploads",
            headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": metadata},
        )
        if answer.is_error:
            raise Refused(answer.status_code, answer.json())
        return httpx.URL(answer.headers["location"]).path.removeprefix("/api/v1")

    def send_chunk(self, upload: str, offset: int, data: bytes) -> int:
        """Append to an upload; the new offset."""
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }
        answer = self.http.patch(upload, headers=headers, content=data)
        if answer.is_error:
            raise Refused(answer.status_code, answer.json())
        return int(answer.headers["upload-offset"])

    def offset_of(self, upload: str) -> int:
        """How much of an upload has arrived."""
        answer = self.http.head(upload, headers={"Tus-Resumable": "1.0.0"})
        if answer.is_error:
            raise Refused(answer.status_code, {})
        return int(answer.headers["upload-offset"])

    def upload(self, version_id: str, path: str, data: bytes, *, archive: bool = False) -> None:
        """Upload one file, or an archive, whole."""
        upload = self.begin_upload(version_id, path, len(data), archive=archive)
        offset = 0
        while offset < len(data):
            offset = self.send_chunk(upload, offset, data[offset : offset + CHUNK])

    def publish(self, kind: str, asset_id: str, number: int) -> Json:
        """Publish a version and wait until it is ready or has failed."""
        self.post(f"/{kind}/{asset_id}/versions/{number}/publish")

        def look() -> Json | None:
            version: Json = self.get(f"/{kind}/{asset_id}/versions/{number}")
            return version if version["status"] in ("ready", "failed") else None

        return wait_for(look, "the version is processed")

    def upload_folder(self, name: str, folder: Path, kind: str = "algorithms") -> Json:
        """Make an algorithm (or dataset) of a folder and publish it."""
        asset: Json = self.post(f"/{kind}", {"name": name})
        version = self.post(f"/{kind}/{asset['id']}/versions", {"note": "from a test"})
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.upload(version["id"], str(path.relative_to(folder)), path.read_bytes())
        ready = self.publish(kind, asset["id"], version["number"])
        assert ready["status"] == "ready", ready
        return asset

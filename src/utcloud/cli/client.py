"""The REST API, as the commands use it."""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from utcloud.cli import login_file
from utcloud.cli.errors import ApiError, CliError, NotLoggedInError, UnreachableError
from utcloud.cli.processes import load_settings

Json = dict[str, Any]
_ID = re.compile(r"[a-z]{1,8}_[0-9a-z]{26}")
_PAGE = 500


class Api:
    """One server, asked with one token. Every refusal is raised as a ``CliError``."""

    def __init__(self, server: str, token: str | None) -> None:
        self.server = server
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(
            base_url=f"{server}/api/v1",
            headers=headers,
            timeout=60,
            verify=not server.startswith("http://"),  # reading all certificates takes longer than most commands
        )

    def login(self, body: Json, ask_code: Callable[[], str] | None = None) -> Json:
        """Make a token against a password, without being logged in. A wrong one is a refusal like any other.

        ``ask_code`` gives the second step's code, where one is needed and was not given.
        """
        return dict(with_code(self._login, body, ask_code))

    def _login(self, body: Json) -> Json:
        try:
            response = Api(self.server, None).client.post("auth/tokens", json=body)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(self.server, str(error)) from error
        if response.status_code == 401:
            raise ApiError(401, response.json())
        if response.is_error:
            raise _refusal(self.server, response)
        return dict(response.json())

    def me(self) -> Json:
        """The user who is logged in."""
        return dict(self.get(f"users/{self.get('wallets/mine')['owner_id']}"))

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", path, params=_given(query))

    def text(self, path: str, accept: str, **query: Any) -> str:
        """The answer as it comes, such as CSV."""
        return self._send("GET", path, params=_given(query), headers={"Accept": accept}).text

    def parts(self, path: str, accept: str, **query: Any) -> Iterator[str]:
        """The same, as it arrives: for lists of any length."""
        headers = {"Accept": accept}
        try:
            with self.client.stream("GET", path, params=_given(query), headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(self.server, response)
                yield from response.iter_text()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(self.server, str(error) or type(error).__name__) from error

    def content(self, path: str, **query: Any) -> bytes:
        """The answer's bytes, such as a PDF."""
        return self._send("GET", path, params=_given(query)).content

    def post(self, path: str, body: Json | None = None) -> Any:
        """The same call is tried twice when its answer got lost; its key makes it act only once."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        try:
            return self._json("POST", path, json=body, headers=headers)
        except _LostError:
            return self._json("POST", path, json=body, headers=headers)

    def patch(self, path: str, body: Json) -> Any:
        return self._json("PATCH", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self._json("PUT", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def every(self, path: str, **query: Any) -> Iterator[Json]:
        """All items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, limit=_PAGE, cursor=cursor, **query)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def find(self, path: str, ref: str, key: str = "name") -> Json:
        """The item of the list at ``path`` whose id or name (its ``key``) is ``ref``; one's own is preferred.

        Raises CliError when there is none or when several have that name.
        """
        noun = path.removesuffix("s").replace("-", " ")
        if _ID.fullmatch(ref):
            try:
                return dict(self.get(f"{path}/{ref}"))
            except ApiError as error:  # some nouns are only listed
                if error.http_status not in (404, 405):
                    raise
            found = next((item for item in self.every(path) if item["id"] == ref), None)
            if found:
                return found
        matches = [item for item in self.every(path, search=ref) if item[key] == ref]
        if len(matches) > 1:
            matches = [item for item in matches if item.get("mine")] or matches
        if len(matches) > 1:
            listed = "\n".join(f"  {item['id']}  {item.get('owner_name', '')}".rstrip() for item in matches)
            raise CliError(f"Several {noun}s are named {ref!r}:\n{listed}", "Use one of these ids instead of the name.")
        if matches:
            return matches[0]
        known = [str(item[key]) for item in self.get(path, limit=10)["items"]]
        cure = f"There are: {', '.join(known)}" if known else f"There is no {noun} at all that you may see."
        raise CliError(f"There is no {noun} {ref!r}.", cure)

    def ids(self, path: str, refs: list[str] | None, key: str = "name") -> list[str] | None:
        """The ids of several; None stays None."""
        return None if refs is None else [self.find(path, ref, key)["id"] for ref in refs]

    def _json(self, method: str, path: str, **request: Any) -> Any:
        response = self._send(method, path, **request)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise UnreachableError(self.server, "something else does") from None

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self.client.request(method, path, **request)
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise _LostError(self.server, type(error).__name__) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(self.server, str(error)) from error
        if response.is_error:
            raise _refusal(self.server, response)
        return response


class _LostError(UnreachableError):
    """The connection ended before the answer came."""


def _refusal(server: str, response: httpx.Response) -> CliError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = None
    if response.status_code in (502, 503, 504) and (problem is None or problem.get("code") == "server_away"):
        return UnreachableError(server, str((problem or {}).get("detail", response.status_code)))
    if response.status_code == 401:
        return NotLoggedInError(str((problem or {}).get("detail", "You are not logged in.")))
    return ApiError(response.status_code, problem or {})


def with_code(send: Callable[[Json], Any], body: Json, ask_code: Callable[[], str] | None) -> Any:
    """Send a body that proves who one is, and once more with a code where the server asks for a second step."""
    try:
        return send(body)
    except ApiError as error:
        methods = error.problem.get("second_factor", {}).get("methods", [])
        if error.code != "second_factor_required" or ask_code is None or body.get("code"):
            raise
        if not {"totp", "recovery_code"} & set(methods):
            raise CliError(
                "Your second factor is a passkey, which only a browser can use.",
                "Log in to the console and make an API token there, or set up an authenticator app as well.",
            ) from error
    return send(body | {"code": ask_code()})


def _given(query: Json) -> Json:
    """A query without what was left out; httpx would send it empty."""
    return {name: value for name, value in query.items() if value is not None}


def connect() -> Api:
    """The server that one is logged in to. A kept token is never sent to another server than the one that gave it."""
    settings = load_settings()
    login = login_file.read(settings)
    server = settings.server_url.rstrip("/") or (login.server if login else login_file.default_server(settings))
    if settings.token:
        return Api(server, settings.token)
    if login is None or login.server != server:
        raise NotLoggedInError(f"You are not logged in to {server}.")
    return Api(server, login.token)


def stranger(server: str | None) -> Api:
    """A server, asked without being logged in."""
    address = server or login_file.default_server(load_settings())
    return Api(address.rstrip("/").removesuffix("/api/v1"), None)

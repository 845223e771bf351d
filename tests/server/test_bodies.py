"""Bodies as attackers send them, byte by byte over a socket: who asks comes first, then how much, then how slowly."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.served import Served
from utcloud.common import bodies
from utcloud.server import bodies as middleware
from utcloud.server.authentication import BEFORE_LOGIN

MIB = 2**20
ONES = b'{"sent_at":"2026-01-01T00:00:00Z","replicas":[' + b"1," * (8 * MIB - 64) + b"1]}"
"""Sixteen MiB of it took the server a minute and a half, and twelve GB."""
JSON = "application/json"


@dataclass
class Answer:
    """What came back, and how many bytes of the body had been sent when it began to."""

    status: int
    headers: dict[str, str]
    problem: dict[str, Any]
    sent: int
    seconds: float


class Talk:
    """One connection to the server."""

    def __init__(self, served: Served) -> None:
        self.socket = socket.create_connection(("127.0.0.1", served.settings.port), timeout=15)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.came = b""
        self.method = ""

    def head(self, method: str, path: str, *headers: str) -> None:
        self.method = method
        lines = [f"{method} /api/v1{path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def answer(self, sent: int = 0, begin: float = 0.0) -> Answer:
        """Read one answer."""
        while b"\r\n\r\n" not in self.came:
            self._more()
        head, _, rest = self.came.partition(b"\r\n\r\n")
        seconds = time.perf_counter() - begin
        status, *lines = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        length = 0 if self.method == "HEAD" else int(headers.get("content-length", 0))
        self.came = rest
        while len(self.came) < length:
            self._more()
        body, self.came = self.came[:length], self.came[length:]
        is_problem = headers.get("content-type") == "application/problem+json" and body
        return Answer(int(status.split()[1]), headers, json.loads(body) if is_problem else {}, sent, seconds)

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self.came += data

    def is_closed(self) -> bool:
        """Whether the server ends the connection, within the time in which it still throws a rest away."""
        self.socket.settimeout(middleware.DRAINED_S + 5)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def flood(self, data: bytes) -> int:
        """Send as much of ``data`` as the server takes; return how much it was."""
        sent = 0
        try:
            while sent < len(data):
                sent += self.socket.send(data[sent : sent + 65536])
        except OSError:
            pass
        return sent


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused client is waited for a tenth of the time."""
    monkeypatch.setattr(middleware, "DRAINED_S", middleware.DRAINED_S / 10)


@contextmanager
def talking(served: Served) -> Iterator[Talk]:
    talk = Talk(served)
    try:
        yield talk
    finally:
        talk.socket.close()


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def asked(served: Served, method: str, path: str, *headers: str, body: bytes = b"") -> Answer:
    """Send a head that announces ``body``, then the body; read what is answered to it."""
    with talking(served) as talk:
        begin = time.perf_counter()
        talk.head(method, path, f"Content-Length: {len(body)}", *headers)
        sender = threading.Thread(target=talk.flood, args=(body,))
        sender.start()
        try:
            return talk.answer(begin=begin)
        finally:
            sender.join()


def refused_unread(served: Served, method: str, path: str, *headers: str, length: int = 16 * MIB) -> Answer:
    """The answer to a head alone: not one byte of the body was sent when it came. The rest is not waited for."""
    with talking(served) as talk:
        begin = time.perf_counter()
        talk.head(method, path, f"Content-Length: {length}", f"Content-Type: {JSON}", *headers)
        answer = talk.answer(begin=begin)
        assert answer.headers["connection"] == "close"
        assert talk.flood(ONES) < len(ONES), "it does not take all of it"
        assert talk.is_closed()
        return answer


def is_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.problem.get("code")) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    for part in ("title", "detail", "cure"):
        assert answer.problem[part]


# Who is asking comes first


@pytest.mark.parametrize("token", ["", "utcs_wrong", "utc_wrong"])
def test_a_strangers_report_is_answered_before_a_byte_of_it_came(served: Served, token: str) -> None:
    answer = refused_unread(served, "POST", "/agent/reports", *([bearer(token)] if token else []))
    is_problem(answer, 401, "unauthenticated")
    assert answer.seconds < 2, "generous: the bench measures how quick it is"


def test_every_closed_route_asks_who_is_there_before_it_reads(served: Served) -> None:
    """Those of today, and those that come: what is not listed as open is closed."""
    schema = served.anonymous().get("/openapi.json")
    tried = 0
    for path, methods in schema["paths"].items():
        for method in methods:
            if (method.upper(), path) in BEFORE_LOGIN:
                continue
            tried += 1
            with talking(served) as talk:
                talk.head(method.upper(), re.sub(r"{\w+}", "x", path.removeprefix("/api/v1")), "Content-Length: 999999")
                assert talk.answer().status == 401, (method, path)
    assert tried > 60


def test_what_is_not_there_is_no_way_in(served: Served) -> None:
    is_problem(refused_unread(served, "POST", "/no/such/route"), 401, "unauthenticated")


def test_what_is_listed_as_open_is_there_and_open(served: Served) -> None:
    """The list holds nothing that is gone, and the OpenAPI file says so of each."""
    schema = served.anonymous().get("/openapi.json")
    declared = {
        (method.upper(), path)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == []
    }
    assert declared == BEFORE_LOGIN


# How much


OPEN = sorted(path.removeprefix("/api/v1") for method, path in BEFORE_LOGIN if method == "POST")


@pytest.mark.parametrize("path", OPEN)
def test_a_stranger_may_send_64_kib(served: Served, path: str) -> None:
    is_problem(refused_unread(served, "POST", path), 413, "too_large")
    is_problem(refused_unread(served, "POST", path, length=bodies.OPEN + 1), 413, "too_large")
    body = b'{"username": "' + b"x" * (bodies.OPEN - 16) + b'"}'
    assert len(body) == bodies.OPEN
    is_problem(asked(served, "POST", path, f"Content-Type: {JSON}", body=body), 422, "invalid")


@pytest.mark.parametrize("path", OPEN)
def test_chunks_without_a_length_are_counted(served: Served, path: str) -> None:
    with talking(served) as talk:
        talk.head("POST", path, "Transfer-Encoding: chunked", f"Content-Type: {JSON}")
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        for _ in range(3):  # 96 KiB
            talk.socket.sendall(chunk)
        is_problem(talk.answer(), 413, "too_large")
        assert talk.flood(chunk * 500) < 500 * len(chunk)
        assert talk.is_closed()


def test_a_megabyte_of_unknown_keys_at_the_login(served: Served) -> None:
    body = json.dumps({f"k{number}": 0 for number in range(80_000)}).encode()
    assert len(body) > 0.9 * MIB
    answer = asked(served, "POST", "/auth/session", f"Content-Type: {JSON}", body=body)
    is_problem(answer, 413, "too_large")


@pytest.mark.parametrize("path", OPEN)
def test_unknown_keys_that_fit_are_one_error(served: Served, path: str) -> None:
    body = json.dumps({f"{number:x}": 0 for number in range(6000)}).encode()
    assert len(body) <= bodies.OPEN
    answer = asked(served, "POST", path, f"Content-Type: {JSON}", body=body)
    is_problem(answer, 422, "invalid")
    assert len(answer.problem["errors"]) == 1


@pytest.mark.parametrize("opening", [b"[", b'{"username":', b'[{"a":'])
def test_deep_nesting_is_refused(served: Served, opening: bytes) -> None:
    for path, most, headers in (
        ("/auth/session", bodies.OPEN, ()),
        ("/groups", bodies.JSON, (str(served.operator().http.headers["authorization"]),)),
    ):
        body = opening * (most // len(opening))
        more = [f"Authorization: {one}" for one in headers]
        answer = asked(served, "POST", path, f"Content-Type: {JSON}", *more, body=body)
        is_problem(answer, 422, "invalid")


@pytest.fixture(scope="module")
def operator(served: Served) -> Api:
    return served.operator()


def as_operator(operator: Api) -> str:
    return f"Authorization: {operator.http.headers['authorization']}"


def test_who_is_logged_in_may_send_a_mebibyte(served: Served, operator: Api) -> None:
    is_problem(refused_unread(served, "POST", "/groups", as_operator(operator)), 413, "too_large")
    is_problem(
        refused_unread(served, "POST", "/groups", as_operator(operator), length=bodies.JSON + 1), 413, "too_large"
    )
    body = b'{"name": "' + b"x" * (bodies.JSON - 12) + b'"}'
    assert len(body) == bodies.JSON
    headers = (f"Content-Type: {JSON}", as_operator(operator))
    is_problem(asked(served, "POST", "/groups", *headers, body=body), 422, "invalid")
    key = ("Idempotency-Key: the-same-with-a-key",)
    is_problem(asked(served, "POST", "/groups", *headers, *key, body=body), 422, "invalid")
    is_problem(refused_unread(served, "POST", "/groups", as_operator(operator), *key), 413, "too_large")


def test_lists_and_mappings_of_a_mebibyte_make_few_errors(served: Served, operator: Api) -> None:
    user = operator.get("/auth/tokens") and operator.all("/users")[0]["id"]
    many = {str(number): 1 for number in range(50_000)}
    for method, path, body in (
        ("POST", "/groups", {"name": "many", "user_ids": [1] * 300_000}),
        ("POST", "/groups", {"name": "many", "user_ids": [1] * 1000}),
        ("POST", "/pools", {"name": "many", "node_ids": [1] * 10_000}),
        ("PUT", f"/users/{user}/quota", {"resources": many}),
        ("PATCH", "/nodes/x", {"own_labels": many}),
        ("POST", "/specs", {"name": "many", "items": [{"resource": 1, "quantity": 1}] * 30_000}),
    ):
        answer = asked(
            served, method, path, f"Content-Type: {JSON}", as_operator(operator), body=json.dumps(body).encode()
        )
        is_problem(answer, 422, "invalid")
        assert len(answer.problem["errors"]) <= 5, (path, answer.problem["errors"][:3])


def test_a_name_whose_accents_never_end_takes_no_time(served: Served) -> None:
    """To compose a text takes the square of its marks: 64 KiB took seconds, of anybody who asked for a token."""
    body = {"username": "a", "password": "b", "name": "a" + "\u0315\u0300" * 5000}
    content = json.dumps(body, ensure_ascii=False).encode()
    begin = time.process_time()
    answer = asked(served, "POST", "/auth/tokens", f"Content-Type: {JSON}", body=content)
    is_problem(answer, 422, "invalid")
    assert answer.problem["field"] == "name"
    assert time.process_time() - begin < 1, "the server runs in this process"


def test_a_report_with_a_good_token_may_have_16_mib(served: Served) -> None:
    headers = (bearer(served.site_token), f"Content-Type: {JSON}")
    is_problem(refused_unread(served, "POST", "/agent/reports", *headers, length=16 * MIB + 1), 413, "too_large")
    assert len(ONES) <= 16 * MIB
    begin = time.process_time()
    answer = asked(served, "POST", "/agent/reports", *headers, body=ONES)
    is_problem(answer, 422, "invalid")
    assert "values" in answer.problem["detail"]
    assert time.process_time() - begin < 5, "generous; it was a minute and a half"


def test_an_upload_takes_what_it_declared_and_no_more(served: Served, operator: Api) -> None:
    asset = operator.post("/datasets", {"name": "bounded"})
    version = operator.post(f"/datasets/{asset['id']}/versions", {})
    data = b"d" * (3 * MIB)
    upload = operator.begin_upload(version["id"], "data.bin", len(data))
    tus = ("Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0")
    refused = refused_unread(served, "PATCH", upload, *tus)
    is_problem(refused, 401, "unauthenticated")
    with talking(served) as talk:  # larger than JSON may be, in chunks, and too long
        talk.head("PATCH", upload, *tus, as_operator(operator), "Transfer-Encoding: chunked")
        chunk = b"%x\r\n" % MIB + b"d" * MIB + b"\r\n"
        sender = threading.Thread(target=talk.flood, args=(chunk * 8,))
        sender.start()
        is_problem(talk.answer(), 413, "too_large")
        sender.join()
        assert talk.is_closed()
    assert operator.offset_of(upload) <= len(data)
    again = operator.begin_upload(version["id"], "again.bin", len(data))
    assert operator.send_chunk(again, 0, data) == len(data)


# Lies, and odd forms


def test_a_length_that_is_too_small_ends_the_body_there(served: Served) -> None:
    with talking(served) as talk:
        talk.head("POST", "/auth/session", "Content-Length: 2", f"Content-Type: {JSON}")
        talk.socket.sendall(b"{}" + b"X" * 5000)
        assert talk.answer().status in (422, 400), "what follows is no request"
        talk.flood(b"X")
        assert talk.is_closed()


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: -1",),
        ("Content-Length: 1e9",),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
    ],
)
def test_a_body_of_which_nobody_knows_where_it_ends_is_refused(served: Served, headers: tuple[str, ...]) -> None:
    with talking(served) as talk:
        talk.head("POST", "/auth/session", *headers, f"Content-Type: {JSON}")
        talk.flood(b"{}\r\n\r\n")
        answer = talk.answer()
        assert 400 <= answer.status < 500
        assert talk.is_closed()


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
def test_nothing_unpacks_what_strangers_pack(served: Served, operator: Api, encoding: str) -> None:
    for path, *more in (("/auth/session",), ("/agent/reports", bearer(served.site_token)), ("/groups",)):
        who = more or [as_operator(operator)]
        answer = asked(
            served, "POST", path, *who, f"Content-Encoding: {encoding}", f"Content-Type: {JSON}", body=b"\x1f\x8b" * 20
        )
        is_problem(answer, 415, "unsupported_media_type")


def test_whoever_waits_for_leave_to_send_hears_the_refusal_instead(served: Served) -> None:
    with talking(served) as talk:
        talk.head("POST", "/groups", f"Content-Length: {MIB}", "Expect: 100-continue")
        is_problem(talk.answer(), 401, "unauthenticated")
        assert talk.is_closed()


# How slowly


def test_a_body_that_never_comes_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies.Allowance.__init__, "__defaults__", (bodies.OPEN, 0.2))
    monkeypatch.setattr(bodies, "SLOWEST", 10**6)
    with talking(served) as talk:
        talk.head("POST", "/auth/session", "Content-Length: 100", f"Content-Type: {JSON}")
        talk.socket.sendall(b'{"username"')
        is_problem(talk.answer(), 408, "too_slow")
        assert talk.is_closed()


def test_who_drips_is_given_up_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte buys a little time, not the whole of it again."""
    monkeypatch.setattr(bodies.Allowance.__init__, "__defaults__", (bodies.OPEN, 0.3))
    monkeypatch.setattr(bodies, "SLOWEST", 10**6)
    with talking(served) as talk:
        talk.head("POST", "/auth/session", "Content-Length: 60000", f"Content-Type: {JSON}")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.02):
                talk.flood(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            is_problem(talk.answer(), 408, "too_slow")
        finally:
            stop.set()
            dripping.join()
        assert talk.is_closed()


# What is well meant goes on as before


def test_several_requests_over_one_connection(served: Served, operator: Api) -> None:
    who = (as_operator(operator), f"Content-Type: {JSON}")
    with talking(served) as talk:
        for body in (b'{"name": ""}', b'{"name": 7}', b"[]"):
            request = ["POST /api/v1/groups HTTP/1.1", "Host: localhost", *who, f"Content-Length: {len(body)}"]
            talk.socket.sendall("\r\n".join([*request, "", ""]).encode() + body)
            answer = talk.answer()
            is_problem(answer, 422, "invalid")
            assert answer.headers.get("connection") != "close"
        nobody = ["POST /api/v1/groups HTTP/1.1", "Host: localhost", "Content-Length: 2", "", ""]
        talk.socket.sendall("\r\n".join(nobody).encode() + b"{}")
        answer = talk.answer()
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers.get("connection") != "close", "a body as small as this came with its head"
        talk.head("GET", "/registration")
        assert talk.answer().status == 200

"""Heads that no browser sends: bounded by the server itself, whatever the edge lets through."""

import json
import socket

import pytest

from tests.support.served import Served
from utcloud.server.heads import MOST_BYTES, MOST_FIELDS


def _answer(served: Served, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", int(served.origin.rpartition(":")[2])), 10) as stranger:
        stranger.sendall(head + b"\r\n\r\n" + body)
        got = b""
        while piece := stranger.recv(65536):
            got += piece
    return int(got.split()[1]), got.partition(b"\r\n\r\n")[2]


def _get(*fields: bytes, address: bytes = b"/api/v1/users") -> bytes:
    return b"\r\n".join((b"GET " + address + b" HTTP/1.1", b"Host: x", b"Connection: close", *fields))


def test_a_head_that_browsers_send_is_taken(served: Served) -> None:
    few = [b"X-%d: y" % number for number in range(MOST_FIELDS - 2)]
    for fields in ([b"X-Much: " + b"x" * (MOST_BYTES - 100)], few):
        assert _answer(served, _get(*fields))[0] == 401


@pytest.mark.parametrize(
    "head",
    [
        _get(b"X-Much: " + b"x" * MOST_BYTES),
        _get(b"X-Much: " + b"x" * 1_000_000),
        _get(b"Cookie: " + b"c=d; " * 200_000),
        _get(b"x" * MOST_BYTES + b": y"),
        _get(*(b"X-%d: y" % number for number in range(MOST_FIELDS + 1))),
        _get(*(b"X-%d: y" % number for number in range(20_000))),
        _get(address=b"/" + b"a" * MOST_BYTES),
        _get(address=b"/?a=" + b"%41" * 300_000),
    ],
    ids=["a little", "much", "cookies", "a name", "fields", "many fields", "address", "question"],
)
def test_what_is_larger_is_answered_and_not_kept(served: Served, head: bytes) -> None:
    status, body = _answer(served, head)
    problem = json.loads(body)
    assert (status, problem["code"]) == (431, "head_too_large")
    assert problem["cure"]


def test_the_body_behind_it_is_no_request(served: Served) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    fields = [b"X-%d: y" % number for number in range(MOST_FIELDS)]
    head = _get(*fields, b"Content-Length: %d" % len(hidden))
    status, body = _answer(served, head, hidden)
    assert status == 431
    assert b"HTTP/1.1" not in body

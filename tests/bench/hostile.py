"""How far strangers who send 16 MiB again and again slow down everybody else.

The server is the real one, in its own process on a unix socket. The attacker is a process of its own too, of the
lowest priority, since a real one has its own machine; half of its connections go on sending after the answer.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.scale import server_in
from utcloud.common.settings import Settings
from utcloud.server import bootstrap

ROUNDS = 4
ROUND_S = 4.0
CONNECTIONS = 6
PAUSE_S = 0.004
SIZE = 16 * 2**20
_PIECE = 2**16
_KEYS = b"".join(b'"k%06x":0,' % number for number in range(_PIECE // 12))
HOSTILE = (
    ("/agent/reports", "", b"1," * (_PIECE // 2)),
    ("/agent/reports", "Authorization: Bearer utcs_wrong", b"1," * (_PIECE // 2)),
    ("/auth/session", "", _KEYS),
    ("/notebooks", "Authorization: Bearer utc_wrong", b"[" * _PIECE),
    ("/applications", "", b"[" * _PIECE),
    ("/no/such/route", "", _KEYS),
)
"""Where to, with what, and a piece of what is sent."""


def hostile_bodies() -> list[Figure]:
    """Somebody's home page with and without the attacker, in turn; and how soon the attacker is answered."""
    with tempfile.TemporaryDirectory(prefix="utcloud-bench-", dir="/tmp") as folder:
        home = Path(folder)
        first = bootstrap.prepare(Settings(home=home))
        with server_in(home, "") as client:
            body = {"username": first.username, "password": first.password, "name": "bench"}
            token = client.post("/auth/tokens", json=body).json()["token"]
            socket = str(home / "run" / "serve" / "server.sock")
            asyncio.run(_look(socket, token, 2))
            quiet, hostile, answers = [], [], []
            for _ in range(ROUNDS):
                quiet += asyncio.run(_look(socket, token, ROUND_S))
                attacker = _attacker(socket, ROUND_S + 1)
                time.sleep(0.5)
                hostile += asyncio.run(_look(socket, token, ROUND_S))
                answers += json.loads(attacker.communicate(timeout=60)[0])
    before, after, answered = (_p99(times) for times in (quiet, hostile, answers))
    how = f"p99 of GET /overview {after:.1f} ms during {len(answers)} bodies of 16 MiB, {before:.1f} ms without"
    details = {"quiet_p99_ms": before, "hostile_p99_ms": after, "median_ms": _median(hostile), "bodies": len(answers)}
    return [
        Figure("hostile_body_p99_ms", round(after - before, 1), "ms", "<= 20", how, details),
        Figure(
            "hostile_answer_p99_ms",
            answered,
            "ms",
            "<= 50",
            f"until the head of the refusal is there; median {_median(answers)} ms",
        ),
    ]


def _p99(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=100)[98] * 1000, 1)


def _median(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1000, 1)


async def _look(socket: str, token: str, seconds: float) -> list[float]:
    """Ask for the overview now and again; how long each answer took."""
    request = f"GET /api/v1/overview HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    taken: list[float] = []
    reader, writer = await asyncio.open_unix_connection(socket)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        taken.append(time.perf_counter() - begin)
        await asyncio.sleep(PAUSE_S)
    writer.close()
    return taken


def _attacker(socket: str, seconds: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.bench.hostile", socket, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def attack(socket: str, seconds: float) -> list[float]:
    """Send hostile bodies over some connections; how long each answer took."""
    end = time.perf_counter() + seconds
    taken: list[float] = []

    async def one(number: int) -> None:
        while time.perf_counter() < end:
            for path, header, piece in HOSTILE:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    taken.append(await _body(socket, path, header, piece, goes_on=number % 2 == 0))

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    return taken


async def _body(socket: str, path: str, header: str, piece: bytes, *, goes_on: bool) -> float:
    reader, writer = await asyncio.open_unix_connection(socket)
    begin = time.perf_counter()
    lines = [f"POST /api/v1{path} HTTP/1.1", "Host: localhost", f"Content-Length: {SIZE}", *filter(None, [header])]
    writer.write("\r\n".join([*lines, "Content-Type: application/json", "", ""]).encode())

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(SIZE // len(piece)):
                writer.write(piece)
                await writer.drain()

    sending = asyncio.create_task(send())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        seconds = time.perf_counter() - begin
        if head.split()[1] not in (b"401", b"413"):
            raise RuntimeError(head.decode())
        if goes_on:
            await sending
    finally:
        sending.cancel()
        writer.close()
    return seconds


if __name__ == "__main__":
    os.nice(19)
    print(json.dumps(asyncio.run(attack(sys.argv[1], float(sys.argv[2])))))

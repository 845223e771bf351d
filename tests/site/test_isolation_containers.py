"""What a stranger's program tries from inside its container. Each attempt is made for real."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiodocker import Docker

from tests.site.server import SmallServer
from utcloud.common.settings import Settings
from utcloud.protocol import DesiredMount, DesiredReplica, Limits
from utcloud.site.agent import Agent
from utcloud.site.firewall import Nftables, bridge_prefix
from utcloud.site.ids import FIRST
from utcloud.site.replica import container_name

pytestmark = pytest.mark.containers
Make = Callable[..., DesiredReplica]
CLOSED = ("192.0.0.171", "198.18.0.10", "100.64.0.10", "10.255.255.10")
"""Of protocols, of tests, of carriers, private: what the review missed in the firewall, and one of each other kind."""

# Runs inside. Its arguments are "name=host:port" pairs to connect to; prints one JSON object.
INSIDE = """
import json, os, socket, sys, time
from concurrent.futures import ThreadPoolExecutor
out = {}
def reach(host, port):
    try:
        with socket.create_connection((host, int(port)), 1.5) as s:
            s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
            return 'reached' if s.recv(1) else 'closed'
    except OSError as e:
        return 'no'
route = [l.split() for l in open('/proc/net/route')][1:]
gateway = next('.'.join(str(b) for b in bytes.fromhex(r[2])[::-1]) for r in route if r[1] == '00000000')
pairs = [pair.split('=') for pair in sys.argv[1:]] + [['gateway', gateway + ':' + os.environ['HOST_PORT']]]
with ThreadPoolExecutor(20) as pool:
    answers = pool.map(lambda pair: reach(*pair[1].rsplit(':', 1)), pairs)
    out.update((pair[0], answer) for pair, answer in zip(pairs, answers))
out['ids'] = [os.getuid(), os.geteuid(), os.getgid()]
status = dict(l.split(':', 1) for l in open('/proc/self/status') if ':' in l)
out['caps'] = [status[k].strip() for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')]
out['no_new_privs'] = status['NoNewPrivs'].strip()
out['seccomp'] = status['Seccomp'].strip()
def attempt(f):
    try:
        f(); return 'did'
    except OSError as e:
        return e.strerror
out['write_root'] = attempt(lambda: open('/evil', 'w'))
out['write_usr'] = attempt(lambda: open('/usr/evil', 'w'))
out['write_tmp'] = attempt(lambda: open('/tmp/fine', 'w'))
out['setuid'] = attempt(lambda: os.setuid(0))
out['mknod'] = attempt(lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0)))
out['dev'] = sorted(os.listdir('/dev'))
out['raw_socket'] = attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
out['sysctl'] = attempt(lambda: open('/proc/sys/kernel/hostname', 'w').write('x'))
out['sysrq'] = attempt(lambda: open('/proc/sysrq-trigger', 'w').write('h'))
try:
    socket.getaddrinfo(os.environ['PEER_NAME'], 80); out['dns'] = 'answered'
except OSError as e:
    out['dns'] = str(e)
children = 0
try:
    while children < 500:
        if os.fork() == 0:
            time.sleep(20); os._exit(0)
        children += 1
except OSError:
    pass
out['forks'] = children
print(json.dumps(out), flush=True)
"""


@dataclass
class World:
    """Addresses around the host: a LAN and something that looks like the internet."""

    lan: str
    internet: str
    on_link: str
    """A public address on a network of the host's."""
    mail: str
    closed: list[str]
    """Listens behind the same router, at addresses that are no internet's."""
    host_port: int
    host_addresses: list[str]


@pytest.fixture
def world() -> Iterator[World]:
    """Two network namespaces behind veth pairs, each with a web server, and a web server on the host itself."""
    mark = os.getpid() % 200
    places = {"lan": f"192.168.{mark + 20}", "net": "198.51.100"}
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for name, subnet in places.items():
            space, outer, inner = f"uts{mark}{name}", f"uvo{mark}{name}", f"uvi{mark}{name}"
            for line in (
                f"netns add {space}",
                f"link add {outer} type veth peer name {inner}",
                f"link set {inner} netns {space}",
                f"addr add {subnet}.1/24 dev {outer}",
                f"link set {outer} up",
                f"-n {space} addr add {subnet}.10/24 dev {inner}",
                f"-n {space} link set {inner} up",
                f"-n {space} link set lo up",
                f"-n {space} route add default via {subnet}.1",
            ):
                subprocess.run(["ip", *line.split()], check=True, capture_output=True)
            serve = [sys.executable, "-m", "http.server", "8000"]
            servers.append(subprocess.Popen(["ip", "netns", "exec", space, *serve], stderr=subprocess.DEVNULL))
        # The internet lies behind a router that is on a network of the host's.
        router, public = f"{places['net']}.10", "203.0.113.10"
        for line in (f"-n uts{mark}net addr add {public}/32 dev lo", f"route add {public}/32 via {router}"):
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)
        for address in CLOSED:
            for line in (f"-n uts{mark}net addr add {address}/32 dev lo", f"route add {address}/32 via {router}"):
                subprocess.run(["ip", *line.split()], check=True, capture_output=True)
        mail = [sys.executable, "-m", "http.server", "25"]
        servers.append(subprocess.Popen(["ip", "netns", "exec", f"uts{mark}net", *mail], stderr=subprocess.DEVNULL))
        with socket.socket() as free:
            free.bind(("0.0.0.0", 0))
            port = free.getsockname()[1]
        servers.append(subprocess.Popen([sys.executable, "-m", "http.server", str(port)], stderr=subprocess.DEVNULL))
        for where in ((f"{places['lan']}.10", 8000), (router, 8000), (public, 8000), (public, 25), ("127.0.0.1", port)):
            _wait_for(*where)
        for address in CLOSED:
            _wait_for(address, 8000)
        answer = subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True, text=True).stdout
        own = [row["local"] for link in json.loads(answer) for row in link["addr_info"] if row["family"] == "inet"]
        closed = [f"{address}:8000" for address in CLOSED]
        yield World(f"{places['lan']}.10:8000", f"{public}:8000", f"{router}:8000", f"{public}:25", closed, port, own)
    finally:
        for process in servers:
            process.kill()
            process.wait()
        for name in places:
            subprocess.run(["ip", "netns", "del", f"uts{mark}{name}"], check=False, capture_output=True)
            subprocess.run(["ip", "link", "del", f"uvo{mark}{name}"], check=False, capture_output=True)


def _wait_for(host: str, port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection((host, port), 0.2).close()
        except OSError:
            import time

            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{host}:{port} does not listen")


@pytest.fixture
async def findings(
    world: World,
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
) -> AsyncIterator[dict[str, Any]]:
    """What the program inside found. A neighbour of another workload, and a colleague of its own, run beside it."""
    agent_of(real_settings)
    neighbour = replica()
    colleague = replica(workload_id="nb_mine")
    await server.want(neighbour, colleague)
    theirs = await server.until_phase(neighbour.attempt_id, "running")
    ours = await server.until_phase(colleague.attempt_id, "running")
    targets = [f"neighbour={theirs.endpoint}", f"colleague={ours.endpoint}", f"lan={world.lan}"]
    targets += [f"internet={world.internet}", f"on link={world.on_link}", f"mail={world.mail}"]
    targets += [f"closed {one}={one}" for one in world.closed]
    targets += [f"metadata {one}={one}:80" for one in ("169.254.169.254", "168.63.129.16", "100.100.100.200")]
    targets += [f"host {address}={address}:{world.host_port}" for address in world.host_addresses]
    stranger = replica(
        workload_id="nb_mine",
        command=["python3", "-uc", INSIDE, *targets],
        port=None,
        env={"PEER_NAME": container_name(colleague.attempt_id), "HOST_PORT": str(world.host_port)},
        limits=Limits(cpu_millicores=1000, memory_bytes=256 * 2**20, pids=50),
        mounts=[DesiredMount(target="/home/jovyan", volume=f"v_{neighbour.attempt_id}")],
    )
    await server.want(neighbour, colleague, stranger)
    ended = await server.until_phase(stranger.attempt_id, "ended", 60)
    assert ended.log_tail.startswith("{"), ended
    yield json.loads(ended.log_tail)


async def test_nothing_is_reached_that_is_not_ones_own(findings: dict[str, Any], world: World) -> None:
    reached = {name for name, answer in findings.items() if answer == "reached"}
    hosts = {f"host {address}" for address in world.host_addresses if not address.startswith("127.")}
    assert len(hosts) >= 3 and hosts <= findings.keys()
    assert reached == {"internet", "colleague"}
    assert findings["gateway"] == "no"
    assert findings["dns"] == "answered"


async def test_nobody_inside_has_any_power(findings: dict[str, Any]) -> None:
    assert len(set(findings["ids"])) == 1 and findings["ids"][0] >= FIRST
    assert set(findings["caps"]) == {"0000000000000000"}
    assert findings["no_new_privs"] == "1" and findings["seccomp"] == "2"
    assert findings["write_root"] == findings["write_usr"] == "Read-only file system"
    assert findings["write_tmp"] == "did"
    for deed in ("setuid", "mknod", "raw_socket", "sysctl", "sysrq"):
        assert findings[deed] != "did", deed
    assert not [name for name in findings["dev"] if name.startswith(("bm-", "sd", "vd", "nvme", "kmsg", "mem"))]
    assert 0 < findings["forks"] < 50


async def test_memory_is_bounded_also_through_tmpfs_and_the_host_does_not_suffer(
    server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings, docker: Docker, replica: Make
) -> None:
    agent_of(real_settings)
    code = (
        "b = b'x' * 10**6\nn = 0\n"
        "try:\n  with open('/tmp/big','wb',0) as f:\n    while n < 500: f.write(b); n += 1\n"
        "except OSError as e: print('full', n < 100)\n"
        "import os; os.remove('/tmp/big')\n"
        "try:\n  with open('/dev/shm/big','wb',0) as f:\n    while n < 500: f.write(b); n += 1\n"
        "except OSError as e: print('shm full', n < 200)\n"
    )
    limits = Limits(cpu_millicores=1000, memory_bytes=128 * 2**20, shm_bytes=32 * 2**20, pids=50)
    wish = replica(command=["python3", "-uc", code], port=None, limits=limits)
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended")
    assert ended.log_tail.splitlines() == ["full True", "shm full True"], ended


PROBE = """
import http.server, socket, sys, threading
def answer(host, port):
    try:
        socket.create_connection((host, int(port)), 1).close(); return b'1'
    except OSError:
        return b'0'
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = b''.join(answer(*pair.rsplit(':', 1)) for pair in sys.argv[1:]) if self.path == '/probe' else b'up'
        self.send_response(200); self.send_header('Content-Length', str(len(said))); self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('0.0.0.0', 8888), Handler).serve_forever()
"""


async def test_after_a_flush_isolation_and_the_internet_are_back_and_the_node_says_so(
    world: World,
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
) -> None:
    """All tables of all, as a firewall's manager does when it starts anew. In a network namespace nothing would show
    of the engine's, so only what concerns this test's bridges is removed: our table, and the engine's NAT."""
    agent_of(real_settings)
    targets = [world.internet, world.lan, f"{world.host_addresses[-1]}:{world.host_port}"]
    wish = replica(command=["python3", "-uc", PROBE, *targets])
    await server.want(wish)
    running = await server.until_phase(wish.attempt_id, "running")
    assert await _probe(str(running.endpoint)) == "100"

    table = _table_of(real_settings)
    subprocess.run(["nft", "delete", "table", *table.split()], check=True)
    subprocess.run(["iptables", "-t", "nat", "-F", "POSTROUTING"], check=False, capture_output=True)
    async with asyncio.timeout(1):
        while "192.168.0.0/16" not in _shown(table):
            await asyncio.sleep(0.02)
    assert await _probe(str(running.endpoint)) == "100", "closed again, and the internet is there without the engine"
    await server.until(lambda: "firewall" in server.reports[-1].nodes[0].reason, 15, "the node says it")
    assert server.reports[-1].nodes[0].ready


async def _probe(endpoint: str) -> str:
    def ask() -> str:
        return urllib.request.urlopen(f"http://{endpoint}/probe", timeout=10).read().decode()  # type: ignore[no-any-return]

    return await asyncio.to_thread(ask)


def _table_of(settings: Settings) -> str:
    return Nftables(bridge_prefix(settings.site_dir)).table


def _shown(table: str) -> str:
    return subprocess.run(["nft", "list", "table", *table.split()], capture_output=True, text=True).stdout


async def test_a_chain_that_was_emptied_is_filled_again(
    server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings, docker: Docker
) -> None:
    agent_of(real_settings)
    await server.until(lambda: bool(server.reports), 10)
    table = _table_of(real_settings)
    assert "dport 25 drop" in _shown(table)
    subprocess.run(["nft", "flush", "chain", *table.split(), "forward"], check=True)
    async with asyncio.timeout(1):
        while "dport 25 drop" not in _shown(table):
            await asyncio.sleep(0.02)


async def test_a_bridge_that_is_gone_leaves_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    firewall = Nftables("u0123f-")
    try:
        await firewall.ensure()
        await firewall.ensure("u0123f-gone")
        await firewall.ensure()
        assert "u0123f-gone" in _shown(firewall.table), "it may be on its way"
        monkeypatch.setattr("utcloud.site.firewall._FRESH_S", -1.0)
        await firewall.ensure()
        shown = _shown(firewall.table)
        assert "u0123f-gone" not in shown and "192.168.0.0/16" in shown
        assert firewall.notice == ""
    finally:
        await firewall.remove()


async def test_denied_networks_and_the_hosts_own_are_closed(world: World) -> None:
    firewall = Nftables("u0123e-", ["8.8.8.0/24", "2001:4860::/32"])
    try:
        await firewall.ensure()
        shown = _shown(firewall.table)
        for network in ("8.8.8.0/24", "2001:4860::/32", "198.51.100.0/24", "168.63.129.16", "100.64.0.0/10"):
            assert network in shown, network
        assert "203.0.113" not in shown, "over a router: the internet"
    finally:
        await firewall.remove()


CARRY = """
import socket, sys, time
host, port = sys.argv[1].split(':')
def connected(): return socket.create_connection((host, int(port)), 30)
def carry(send):
    with connected() as s:
        began = time.monotonic()
        s.sendall((b'put' if send else b'get') + (bytes(1_000_000) if send else b''))
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536): pass
        return time.monotonic() - began
print('%.2f %.2f' % (carry(True), carry(False)), flush=True)
"""
STORE = """
import socketserver
class Store(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.read(3) == b'get': self.wfile.write(bytes(1_000_000))
        while self.rfile.read(65536): pass
socketserver.ThreadingTCPServer(('', 9000), Store).serve_forever()
"""


async def test_no_workload_takes_the_whole_line(
    world: World, server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings, replica: Make
) -> None:
    """A megabyte each way, of which a fifth goes at once, takes seconds at a bound of two megabits."""
    space, host = f"uts{os.getpid() % 200}net", world.internet.rpartition(":")[0]
    store = subprocess.Popen(["ip", "netns", "exec", space, sys.executable, "-c", STORE])
    try:
        _wait_for(host, 9000)
        agent_of(real_settings.model_copy(update={"network_mbit": 2}))
        one = replica(command=["python3", "-uc", CARRY, f"{host}:9000"], port=None)
        await server.want(one)
        ended = await server.until_phase(one.attempt_id, "ended", 90)
    finally:
        store.kill()
        store.wait()
    sent, received = map(float, ended.log_tail.split())
    assert sent > 2 and received > 2, "less than half as fast as a line without a bound"


async def test_two_sites_of_a_machine_leave_each_others_rules_alone(tmp_path: Path) -> None:
    first, second = (
        Nftables(bridge_prefix(tmp_path / name), [deny]) for name, deny in (("a", "8.8.8.0/24"), ("b", "9.9.9.0/24"))
    )
    try:
        await first.ensure()
        await second.ensure()
        await first.ensure()
        assert first.table != second.table
        assert "8.8.8.0/24" in _shown(first.table) and "9.9.9.0/24" not in _shown(first.table)
        assert "9.9.9.0/24" in _shown(second.table)
        await first.remove()
        assert _shown(second.table)
        await second.ensure()
        assert first.notice == second.notice == ""
    finally:
        await first.remove()
        await second.remove()


async def test_without_nft_nothing_is_started_and_the_node_says_the_cure(
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("utcloud.site.nft.shutil.which", lambda *_, **__: None)
    agent_of(real_settings, firewall=Nftables("utc"))
    wish = replica()
    await server.want(wish)
    await server.until(lambda: bool(server.reports) and not server.reports[-1].nodes[0].ready, 10, "not ready")
    assert "apt-get install nftables" in server.reports[-1].nodes[0].reason
    await asyncio.sleep(1)
    row = server.replica(wish.attempt_id)
    assert row is not None and row.phase == "starting" and "nft is missing" in row.reason
    assert not [
        one for one in await docker.containers.list(all="1") if container_name(wish.attempt_id) in str(one._container)
    ]

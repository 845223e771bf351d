"""Ways out of a container that begin with a system call. Each is tried for real, from inside."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiodocker import Docker

from tests.site.conftest import AgentProcess
from tests.site.server import SmallServer
from tests.site.small_image import TOOLS
from tests.support import lanes
from utcloud.common.settings import Settings
from utcloud.protocol import ChipReport, DesiredMount, DesiredReplica, Limits
from utcloud.site.agent import Agent
from utcloud.site.discovery.base import Finding, FoundChip
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.ids import FIRST
from utcloud.site.node import LABEL_NOT_CLEARED
from utcloud.site.replica import container_name

pytestmark = pytest.mark.containers
Make = Callable[..., DesiredReplica]

# Runs inside, prints one JSON object: what each call answered, 0 or the name of its error.
INSIDE = """
import ctypes, errno, json, os, platform, resource, socket, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
amd = dict(unshare=272, setns=308, mount=165, umount2=166, pivot_root=155, chroot=161, keyctl=250, add_key=248,
           request_key=249, bpf=321, perf_event_open=298, userfaultfd=323, ptrace=101, process_vm_readv=310, clone=56,
           open_by_handle_at=304, init_module=175, reboot=169, swapon=167, kcmp=312, fanotify_init=300, syslog=103,
           sethostname=170, settimeofday=164)
arm = dict(unshare=97, setns=268, mount=40, umount2=39, pivot_root=41, chroot=51, keyctl=219, add_key=217,
           request_key=218, bpf=280, perf_event_open=241, userfaultfd=282, ptrace=117, process_vm_readv=270, clone=220,
           open_by_handle_at=265, init_module=105, reboot=142, swapon=224, kcmp=272, fanotify_init=262, syslog=116,
           sethostname=161, settimeofday=170)
numbers = (amd if platform.machine() == 'x86_64' else arm) | dict(
    io_uring_setup=425, io_uring_enter=426, io_uring_register=427, open_tree=428, move_mount=429, fsopen=430,
    clone3=435, pidfd_getfd=438, mount_setattr=442)
out = {}
def call(name, *args):
    ctypes.set_errno(0)
    answer = libc.syscall(numbers[name], *[a if isinstance(a, bytes) else ctypes.c_long(a) for a in args])
    return 0 if answer != -1 else errno.errorcode[ctypes.get_errno()]
spaces = dict(time=0x80, mnt=0x20000, cgroup=0x2000000, uts=0x4000000, ipc=0x8000000, user=0x10000000, pid=0x20000000,
              net=0x40000000)
for space, flag in spaces.items():
    out['unshare ' + space] = call('unshare', flag)
    if space != 'time':
        out['clone ' + space] = call('clone', flag | 0x10000000 | 17, 0, 0, 0, 0)
out['unshare -Urnm'] = call('unshare', 0x10000000 | 0x20000 | 0x40000000)
out['clone3'] = call('clone3', bytes(88), 88)
out['mount'] = call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)
for name in ('setns', 'umount2', 'pivot_root', 'chroot', 'add_key', 'request_key', 'bpf', 'userfaultfd', 'fsopen',
             'open_by_handle_at', 'init_module', 'swapon', 'kcmp', 'fanotify_init', 'io_uring_enter',
             'io_uring_register', 'open_tree', 'move_mount', 'mount_setattr', 'pidfd_getfd', 'sethostname',
             'settimeofday'):
    out[name] = call(name, 0, 0, 0, 0, 0)
out['keyctl'] = call('keyctl', 0, -3, 1)
out['io_uring_setup'] = call('io_uring_setup', 4, bytes(120))
out['perf_event_open'] = call('perf_event_open', bytes(128), 0, -1, -1, 0)
out['syslog'] = call('syslog', 3, bytes(64), 64)
out['ptrace the host'] = 'seen' if any(int(pid) > 100000 for pid in os.listdir('/proc') if pid.isdigit()) else 'unseen'
for family in (17, 38, 40):
    try:
        socket.socket(family, socket.SOCK_RAW if family == 17 else socket.SOCK_SEQPACKET).close()
        out['socket %d' % family] = 0
    except OSError as e:
        out['socket %d' % family] = errno.errorcode[e.errno]
for kind in (socket.SOCK_RAW,):
    try:
        socket.socket(socket.AF_INET, kind, 1).close(); out['raw'] = 0
    except OSError as e:
        out['raw'] = errno.errorcode[e.errno]
out['core'] = resource.getrlimit(resource.RLIMIT_CORE)
# What programs need goes on working.
done = []
thread = threading.Thread(target=lambda: done.append(1)); thread.start(); thread.join()
out['thread'] = len(done)
out['child'] = subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout.strip()
out['unshare files'] = call('unshare', 0x400)
print(json.dumps(out), flush=True)
"""


async def run_inside(server: SmallServer, replica: Make, program: str, **wish: Any) -> dict[str, Any]:
    """Run a program in a container of its own and read the JSON object that it prints."""
    one = replica(command=["python3", "-uc", program], port=None, **wish)
    await server.want(one)
    ended = await server.until_phase(one.attempt_id, "ended", 60)
    assert ended.log_tail.startswith("{"), ended
    found: dict[str, Any] = json.loads(ended.log_tail)
    return found


@pytest.fixture
async def answers(
    server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings, docker: Docker, replica: Make
) -> AsyncIterator[dict[str, Any]]:
    agent_of(real_settings)
    yield await run_inside(server, replica, INSIDE)


async def test_no_call_leads_to_another_namespace_or_into_the_kernel(answers: dict[str, Any]) -> None:
    helpful = {name: answers.pop(name) for name in ("thread", "child", "unshare files", "core")}
    assert helpful == {"thread": 1, "child": "42", "unshare files": 0, "core": [0, 0]}
    expected = dict.fromkeys(answers, "EPERM") | {
        "clone3": "ENOSYS",
        "ptrace the host": "unseen",
        "socket 38": "EAFNOSUPPORT",
        "socket 40": "EAFNOSUPPORT",
    }
    assert answers == expected


# Runs inside: everything that a tenant does to the machine's shared limits, then says who it is.
GREEDY = """
import ctypes, errno, json, os, pwd, time
libc = ctypes.CDLL(None, use_errno=True)
out = {'uid': os.getuid(), 'gid': os.getgid(), 'name': pwd.getpwuid(os.getuid()).pw_name,
       'home': pwd.getpwuid(os.getuid()).pw_dir, 'groups': os.getgroups()}
watches = 0
while libc.inotify_init() != -1:
    watches += 1
out['watches'] = watches
written, where = 0, '/home/jovyan/fill'
try:
    with open(where, 'wb', 0) as file:
        while True:
            written += file.write(bytes(10**6))
except OSError as e:
    out['full'] = errno.errorcode[e.errno]
out['MB'] = written // 10**6
print(json.dumps(out), flush=True)
"""


async def test_a_tenant_can_use_up_neither_the_disk_nor_the_watches_of_another(
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
    home: Path,
) -> None:
    agent_of(real_settings)

    def wish(name: str) -> DesiredReplica:
        return replica(
            command=["python3", "-uc", GREEDY + "time.sleep(1000)\n"],
            port=None,
            workload_id=f"nb_{name}",
            mounts=[DesiredMount(target="/home/jovyan", volume=f"v_{name}")],
            limits=Limits(cpu_millicores=1000, memory_bytes=2**28, disk_bytes=120 * 2**20),
        )

    async def said(one: DesiredReplica) -> dict[str, Any]:
        async with asyncio.timeout(60):
            container = await docker.containers.get(container_name(one.attempt_id))
            while not (lines := await container.log(stdout=True)):
                await asyncio.sleep(0.1)
        found: dict[str, Any] = json.loads("".join(lines))
        return found

    before = shutil.disk_usage(home).used
    first = wish("one")
    await server.want(first)
    await server.until_phase(first.attempt_id, "running")
    one = await said(first)
    assert one["full"] == "ENOSPC" and 90 < one["MB"] < 126
    assert shutil.disk_usage(home).used - before < 300 * 10**6
    # While the first goes on holding all that it took:
    second = wish("two")
    await server.want(first, second)
    await server.until_phase(second.attempt_id, "running")
    two = await said(second)
    assert two["full"] == "ENOSPC" and two["MB"] == pytest.approx(one["MB"], abs=2)
    assert two["watches"] == one["watches"] > 10
    assert one["uid"] != two["uid"] and min(one["uid"], two["uid"]) >= FIRST
    for each in (one, two):
        assert (each["gid"], each["name"], each["home"]) == (each["uid"], "jovyan", "/home/jovyan")
        assert set(each["groups"]) <= {each["gid"]}
    assert await run_inside(server, replica, 'print(\'{"host": "fine"}\')') == {"host": "fine"}


# Runs inside: what a person types in a terminal first.
TOOLS_INSIDE = """
import json, subprocess
def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, cwd='/home/jovyan', timeout=30)
    return [done.returncode, (done.stdout + done.stderr).strip()]
out = {'whoami': run('whoami')}
me = ['-c', 'user.name=me', '-c', 'user.email=me@example.org']
open('/home/jovyan/a.py', 'w').write('print(1)')
out['git'] = [run('git', *me, *words) for words in (
    ['init', '--quiet', '.'], ['add', 'a.py'], ['commit', '--quiet', '--message=first'])]
out['git log'] = run('git', 'log', '--format=%s')
out['git status'] = run('git', 'status', '--short')
out['ssh'] = run('ssh', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-p', '1', '127.0.0.1', 'true')
print(json.dumps(out), flush=True)
"""


@pytest.mark.skipif(set(TOOLS) < {"git", "ssh", "whoami"}, reason="this machine has no git, ssh or whoami")
async def test_programs_that_ask_for_ones_name_work(
    server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings, docker: Docker, replica: Make
) -> None:
    """Under the id of a workload and the seccomp list. Without a name ssh says "No user exists for uid 200000"."""
    agent_of(real_settings)
    wish = [DesiredMount(target="/home/jovyan", volume="v_tools")]
    said = await run_inside(server, replica, TOOLS_INSIDE, mounts=wish)
    assert said["whoami"] == [0, "jovyan"]
    assert [code for code, _ in said["git"]] == [0, 0, 0], said["git"]
    assert said["git log"] == [0, "first"] and said["git status"] == [0, ""], "the home is one's own: git trusts it"
    assert said["ssh"][0] == 255 and "Connection refused" in said["ssh"][1], said["ssh"]


async def test_many_at_once_start_each_with_a_disk_of_its_own(
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
    home: Path,
) -> None:
    """In the long lane thirty: more than the eight loop devices that a machine begins with."""
    count = lanes.amount(6, 30)
    agent_of(real_settings)
    wishes = [
        replica(
            workload_id=f"nb_{number}",
            mounts=[DesiredMount(target="/home/jovyan", volume=f"many_{number}")],
            limits=Limits(cpu_millicores=200, memory_bytes=2**27, disk_bytes=100 * 2**20, pids=64),
        )
        for number in range(count)
    ]
    begun = time.monotonic()
    await server.want(*wishes)
    for wish in wishes:
        await server.until_phase(wish.attempt_id, "running", 30 + 5 * count)
    print(f"{count} ran after {time.monotonic() - begun:.1f} s")
    points = [home / f"site/mounts/many_{number}" for number in range(count)]
    assert all(point.is_mount() for point in points)
    assert len({point.stat().st_dev for point in points}) == count
    assert all(shutil.disk_usage(point).total < 100 * 2**20 for point in points)
    assert len(_loop_devices(home)) == count
    await server.want()
    async with asyncio.timeout(30 + 2 * count):
        while _loop_devices(home):
            await asyncio.sleep(0.1)


def _loop_devices(home: Path) -> list[str]:
    """The loop devices before images of this home."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # it was just freed
            if backing.read_text().startswith(str(home)):
                found.append(backing.parts[3])
    return found


async def test_a_volume_grows_when_its_next_run_has_more(
    server: SmallServer, agent_of: Callable[..., Agent], real_settings: Settings, docker: Docker, replica: Make
) -> None:
    """A run that is given more disk than the last one finds its files, and more room."""
    agent_of(real_settings)
    program = (
        "import json, shutil, pathlib; p = pathlib.Path('/home/jovyan/kept'); was = p.exists(); p.write_text('x'); "
        "print(json.dumps({'MB': shutil.disk_usage('/home/jovyan').total // 10**6, 'kept': was}), flush=True)"
    )
    found = []
    for size in (100, 100, 300, 100):
        limits = Limits(cpu_millicores=1000, memory_bytes=2**27, disk_bytes=size * 10**6, pids=64)
        mounts = [DesiredMount(target="/home/jovyan", volume="v_grows")]
        found.append(await run_inside(server, replica, program, workload_id="nb_grows", mounts=mounts, limits=limits))
    sizes = [one["MB"] for one in found]
    assert sizes[0] == sizes[1] < 100 < 250 < sizes[2] == sizes[3] < 300, sizes
    assert [one["kept"] for one in found] == [False, True, True, True]


async def test_formatted_volumes_are_kept_ready_by_the_agent(
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("utcloud.site.agent.SWEEP_S", 0.3)
    agent_of(real_settings)
    limits = Limits(cpu_millicores=1000, memory_bytes=2**27, disk_bytes=100 * 2**20, pids=64)

    def wish(name: str) -> DesiredReplica:
        mounts = [DesiredMount(target="/home/jovyan", volume=name)]
        return replica(workload_id=f"nb_{name}", mounts=mounts, limits=limits)

    first, second = wish("ready_1"), wish("ready_2")
    await server.want(first)
    await server.until_phase(first.attempt_id, "running")
    async with asyncio.timeout(20):
        while len(ready := list((home / "site/images").glob(".ready-*"))) < 3:
            await asyncio.sleep(0.05)
    inodes = {path.stat().st_ino for path in ready}
    await server.want(first, second)
    await server.until_phase(second.attempt_id, "running")
    assert (home / "site/images/ready_2.img").stat().st_ino in inodes


async def test_mounts_outlive_the_agent_and_end_with_what_used_them(
    server: SmallServer, agent_process: AgentProcess, docker: Docker, replica: Make, home: Path
) -> None:
    agent_process.start()
    wish = replica(mounts=[DesiredMount(target="/home/jovyan", volume="v")])
    await server.want(wish)
    await server.until_phase(wish.attempt_id, "running")
    files = home / "site/mounts/v/files"
    (files / "note").write_text("mine")
    agent_process.kill()
    assert (files / "note").read_text() == "mine"
    agent_process.start()
    await server.until(lambda: bool(server.replica(wish.attempt_id)), 20)
    count = len(server.reports)
    await server.until(lambda: len(server.reports) > count, 20)
    assert (files / "note").read_text() == "mine"
    await server.want()
    async with asyncio.timeout(20):
        while (home / "site/mounts/v").exists():
            await asyncio.sleep(0.05)
    assert str(home) not in Path("/proc/mounts").read_text()
    assert (home / "site/images/v.img").exists(), "the files stay"


async def test_where_images_cannot_be_mounted_what_outgrows_its_volume_is_ended(
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("utcloud.site.loop.mount", refuse)
    monkeypatch.setattr("utcloud.site.agent.SWEEP_S", 0.5)
    agent_of(real_settings)
    write = "open('/home/jovyan/big', 'wb').write(bytes(50 * 10**6)); import time; time.sleep(1000)"
    wish = replica(
        command=["python3", "-uc", write],
        port=None,
        mounts=[DesiredMount(target="/home/jovyan", volume="v")],
        limits=Limits(cpu_millicores=1000, memory_bytes=2**28, disk_bytes=20 * 10**6),
    )
    await server.want(wish)
    ended = await server.until_phase(wish.attempt_id, "ended", 30)
    assert ended.cause == "disk" and "and 20MB are allowed" in ended.reason
    node = server.reports[-1].nodes[0]
    assert node.ready and "no quota of their own" in node.reason


# Runs inside: reads the chip to its end, then leaves something in it.
CHIP = """
import json
with open('/dev/bm-sophon0', 'r+b', 0) as chip:
    found = chip.read(64).rstrip(bytes(1)).decode()
    chip.seek(0)
    chip.write(b'weights of a stranger')
print(json.dumps({'found': found}), flush=True)
"""


class _Chip:
    """A chip whose memory is a file: what a program writes there stays, as in a real one's."""

    def __init__(self, device: str, *, clears: bool) -> None:
        report = ChipReport(
            uid="chip-1", resource="x/chip", index=0, model="X", device_paths=["/dev/bm-sophon0"], simulated=True
        )
        self._device = device
        self._chip = FoundChip(report, (device,), renumber=True, scrub=self._clear if clears else None)

    def _clear(self) -> None:
        with Path(self._device).open("r+b", 0) as memory:
            memory.write(bytes(64))

    def find(self) -> Finding:
        return Finding(chips=[self._chip])


@pytest.mark.parametrize("clears", [True, False])
async def test_the_next_tenant_finds_nothing_in_a_chip_that_can_be_cleared(
    server: SmallServer,
    agent_of: Callable[..., Agent],
    real_settings: Settings,
    docker: Docker,
    replica: Make,
    home: Path,
    clears: bool,
) -> None:
    memory = home / "memory"
    memory.write_bytes(bytes(2**12))
    agent_of(real_settings, discoveries=[HostDiscovery(home), _Chip(str(memory), clears=clears)])
    assert await run_inside(server, replica, CHIP, devices=["chip-1"]) == {"found": ""}
    left = await run_inside(server, replica, CHIP, devices=["chip-1"])
    node = server.reports[-1].nodes[0]
    if clears:
        assert left == {"found": ""} and LABEL_NOT_CLEARED not in node.labels
    else:  # what the test can see, and what the node tells its renters
        assert left == {"found": "weights of a stranger"} and node.labels[LABEL_NOT_CLEARED] == "X"

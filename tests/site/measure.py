"""Time from a wish to a JupyterLab that answers, beside a bare ``podman run`` of the same image with the same limits.

Not a test: ``UTCLOUD_TEST_ENGINE_URL=unix:///… python -m tests.site.measure`` with CONTAINERS_CONF and
CONTAINERS_STORAGE_CONF set to that engine's. Both are watched in the same way: a raw connection every 20 ms.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.site.server import TOKEN, SmallServer
from utcloud.common.settings import Settings
from utcloud.protocol import DesiredMount, DesiredReplica, Limits, Phase
from utcloud.site.probe import until_answers

IMAGE = "localhost/utcloud/jupyter:1"
COMMAND = ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"]
LIMITS = Limits(cpu_millicores=2000, memory_bytes=2 * 2**30)
ROUNDS = 5


def bare() -> float:
    """One bare run: seconds until it answers."""
    name = f"uts-bare-{uuid.uuid4().hex[:8]}"
    volume = Path(tempfile.mkdtemp(prefix="uts-vol-"))
    os.chown(volume, 1000, 1000)
    began = time.monotonic()
    subprocess.run(
        [
            "podman",
            "run",
            "-d",
            "--name",
            name,
            "--user=1000:1000",
            "--cpus=2",
            "--memory=2g",
            "--memory-swap=2g",
            "--pids-limit=1024",
            "--shm-size=64m",
            "--init",
            "-e",
            "JUPYTER_TOKEN=x",
            "-v",
            f"{volume}:/home/jovyan",
            IMAGE,
            *COMMAND,
        ],
        check=True,
        capture_output=True,
    )
    shown = subprocess.run(
        ["podman", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name],
        check=True,
        capture_output=True,
        text=True,
    )
    asyncio.run(until_answers(shown.stdout.strip(), 8888, "/api"))
    took = time.monotonic() - began
    subprocess.run(["podman", "rm", "-f", "-t0", name], check=True, capture_output=True)
    shutil.rmtree(volume)
    return took


async def ours(server: SmallServer) -> float:
    """One wish: seconds until the server was told that it runs."""
    ident = f"at_{uuid.uuid4().hex[:12]}"
    wish = DesiredReplica(
        replica_id=f"rp_{ident}",
        attempt_id=ident,
        workload_id=f"nb_{ident}",
        desired=Phase.RUNNING,
        node="",
        image=IMAGE,
        command=COMMAND,
        env={"JUPYTER_TOKEN": "x"},
        limits=LIMITS,
        port=8888,
        ready_path="/api",
        mounts=[DesiredMount(target="/home/jovyan", volume=f"v_{ident}", manifest_id="av_1", fill="algo")],
    )
    began = time.monotonic()
    await server.want(wish)
    await server.until_phase(ident, "running", 60)
    took = time.monotonic() - began
    await server.want()
    await asyncio.sleep(2)
    return took


async def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="uts-"))
    (home / "agent").mkdir()
    (home / "agent" / "token").write_text(TOKEN)
    settings = Settings(home=home, engine_url=os.environ["UTCLOUD_TEST_ENGINE_URL"])
    server = SmallServer(settings.server_socket, "site-measure")
    server.add_files("av_1", {"infer.py": b"print(1)\n", "model.bin": os.urandom(3_000_000)})
    await server.start()
    environment = os.environ | {"UTCLOUD_HOME": str(home), "UTCLOUD_ENGINE_URL": settings.engine_url}
    code = "from utcloud.site import run; from utcloud.common.settings import Settings; run(Settings())"
    agent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    await server.until(lambda: bool(server.reports), 20)
    rows = []
    for _ in range(ROUNDS):
        rows.append((await asyncio.to_thread(bare), await ours(server)))
        print(f"bare {rows[-1][0]:.3f} s   ours {rows[-1][1]:.3f} s")
    memory = next(line for line in Path(f"/proc/{agent.pid}/status").read_text().splitlines() if "VmRSS" in line)
    agent.terminate()
    agent.wait(10)
    await server.stop()
    shutil.rmtree(home)
    first, second = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"median bare {first:.3f} s, ours {second:.3f} s, ratio {second / first:.3f}; agent {memory}")


if __name__ == "__main__":
    asyncio.run(main())

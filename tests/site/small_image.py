"""A container image made of this machine's own Python and shell: needs no registry."""

import asyncio
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from aiodocker import Docker

NAME = "localhost/utcloud-test/python"
TAG = "latest"
TOOLS = [tool for tool in ("git", "ssh", "whoami") if shutil.which(tool)]
"""Programs that look a user's name up, as far as this machine has them."""
IMAGE = f"{NAME}:{TAG}"
_SKIP = {"site-packages", "dist-packages", "test", "tests", "__pycache__", "idlelib", "tkinter", "ensurepip", "lib2to3"}


async def load_into(url: str) -> None:
    """Import the image into the engine at ``url`` unless it is there."""
    async with Docker(url=url) as docker:
        if any(IMAGE in (row.get("RepoTags") or []) for row in await docker.images.list()):
            return
        content = await asyncio.to_thread(_tar)
        params = {"fromSrc": "-", "repo": NAME, "tag": TAG}
        async with docker._query("images/create", "POST", params=params, data=content) as response:
            await response.read()


def _tar() -> bytes:
    home = Path(sys.base_prefix)
    python = (home / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}").resolve()
    stdlib = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shell = Path(shutil.which("sh") or "/bin/sh").resolve()
    sleep = Path(shutil.which("sleep") or "/bin/sleep").resolve()
    tools = [Path(shutil.which(tool) or tool).resolve() for tool in TOOLS]
    libraries = {
        path for one in (python, shell, sleep, *tools, *stdlib.glob("lib-dynload/*.so")) for path in _needs(one)
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in (
            "usr",
            "usr/bin",
            "usr/lib",
            "usr/lib64",
            "tmp",
            "run",
            "var",
            "var/tmp",
            "proc",
            "sys",
            "dev",
            "etc",
            "home",
            "home/jovyan",
        ):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for link, target in (
            ("bin", "usr/bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib64"),
            ("usr/bin/python3", str(python)),
            ("usr/bin/sh", str(shell)),
            ("usr/bin/sleep", str(sleep)),
            *((f"usr/bin/{name}", str(path)) for name, path in zip(TOOLS, tools, strict=True)),
        ):
            if f"/{link}" == target:
                continue
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for path in {python, shell, sleep, *tools}:
            tar.add(path, str(path))
        for path in libraries:
            real = path.resolve()
            where = str(path)
            for short in ("/lib/", "/lib64/"):
                if where.startswith(short):
                    where = "/usr" + where
            tar.add(real, where)
        tar.add(stdlib, str(stdlib), filter=_wanted)
    return buffer.getvalue()


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(entry.name).name
    return None if name in _SKIP or name.startswith("config-") else entry


def _needs(program: Path) -> list[Path]:
    answer = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    words = [word for line in answer.splitlines() for word in line.split()]
    return [Path(word) for word in words if word.startswith("/") and Path(word).exists()]

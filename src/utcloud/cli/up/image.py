"""The preset `jupyter` image: built into the engine that is used, once for each content."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from utcloud.cli.up import unixhttp
from utcloud.cli.up.progress import say, step

REPOSITORY = "localhost/utcloud/jupyter"
VERSION = "1"
REFERENCE = f"{REPOSITORY}:{VERSION}"
DEBIAN = "bookworm"
MADE_BASE = f"localhost/utcloud/debian:{DEBIAN}"
PULLED_BASES = ("docker.io/library/debian:bookworm-slim",)
CONTENT_LABEL = "org.utcloud.content-hash"
SOURCES = Path(__file__).resolve().parents[4] / "images" / "jupyter"
CA_BUNDLE = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")


class ImageError(RuntimeError):
    """The image could not be built; the message says why, and what to do."""


def content_hash(sources: Path = SOURCES) -> str:
    """A hash of all that goes into the image, apart from the base it stands on."""
    digest = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(socket: Path, wanted: str) -> bool:
    """Whether the engine's image was built from the content whose hash is `wanted`."""
    found = unixhttp.get_json(socket, f"/v1.41/images/{REFERENCE}/json")
    return bool(found) and ((found.get("Config") or {}).get("Labels") or {}).get(CONTENT_LABEL) == wanted


def ensure(socket: Path, log: Path, sources: Path = SOURCES) -> bool:
    """Build the image unless it is there already; tell whether it was built.

    A failed build leaves the image that was there, and says so. Raises ImageError when there is none at all.
    """
    wanted = content_hash(sources)
    if is_current(socket, wanted):
        return False
    previous = unixhttp.get_json(socket, f"/v1.41/images/{REFERENCE}/json")
    try:
        with log.open("w") as output:
            base = _base(socket, output)
            with step("building the jupyter image (about a minute)"):
                _build(socket, base, wanted, sources, output)
    except (ImageError, OSError) as error:
        if not previous:
            raise ImageError(f"{error}\nThe whole log: {log}") from error
        say(f"The new jupyter image could not be built, the old one stays in use: {error}\nThe whole log: {log}")
        return False
    if previous:  # refused, and rightly so, while a container still uses it
        url = f"/v1.41/images/{previous['Id']}"
        # A large image on a busy disk takes its time; the new one is there in any case.
        with contextlib.suppress(OSError), unixhttp.request(socket, "DELETE", url, timeout=60):
            pass
    return True


def _base(socket: Path, output: IO[str]) -> str:
    """The reference of a Debian base image: the one made before, a pulled one, or one made of packages."""
    for reference in (MADE_BASE, *PULLED_BASES):
        if unixhttp.get_json(socket, f"/v1.41/images/{reference}/json"):
            return reference
    for reference in PULLED_BASES:
        try:
            with step(f"pulling the base image {reference}"):
                _pull(socket, reference, output)
        except (ImageError, OSError) as error:
            output.write(f"{error}\n")
            say("  No image registry can be reached: a base is made of Debian packages instead.")
        else:
            return reference
    with step("making a base image of Debian packages (about half a minute)"):
        _debootstrap(socket, output)
    return MADE_BASE


def _pull(socket: Path, reference: str, output: IO[str]) -> None:
    name, _, tag = reference.rpartition(":")
    query = urlencode({"fromImage": name, "tag": tag})
    with unixhttp.request(socket, "POST", f"/v1.41/images/create?{query}", timeout=30) as response:
        _follow(response, output)
    if not unixhttp.get_json(socket, f"/v1.41/images/{reference}/json"):
        raise ImageError("pulled, but not there")


def _debootstrap(socket: Path, output: IO[str]) -> None:
    if not shutil.which("debootstrap") or os.geteuid() != 0:
        raise ImageError("A base image is made by debootstrap, as root: apt-get install debootstrap, run as root.")
    sources = _apt_sources()
    with tempfile.TemporaryDirectory(prefix="utcloud-base-", dir="/var/tmp") as scratch:
        root = Path(scratch) / "root"
        command = ["debootstrap", "--variant=minbase", DEBIAN, str(root), sources[0].split()[-3]]
        output.flush()
        if subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False).returncode:
            raise ImageError(f"debootstrap failed: {_last_line(Path(output.name))}")
        (root / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
        for archive in (root / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        with tempfile.TemporaryFile(dir=scratch) as packed:
            subprocess.run(["tar", "--numeric-owner", "-C", str(root), "-c", "."], stdout=packed, check=True)
            packed.seek(0)
            query = urlencode({"fromSrc": "-", "repo": MADE_BASE})  # Podman 4.3 overlooks "tag"
            with unixhttp.request(socket, "POST", f"/v1.41/images/create?{query}", packed, timeout=300) as response:
                _follow(response, output)


def _apt_sources() -> list[str]:
    """This machine's own Debian mirrors, as lines of a sources.list; the main archive first."""
    listed = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)",
            "Created-By: Packages",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = []
    for entry in sorted(set(listed.stdout.split("\n"))):
        origin, _, rest = entry.partition("|")
        codename, _, rest = rest.partition("|")
        component, _, uri = rest.partition("|")
        if origin == "Debian" and codename.startswith(DEBIAN) and component == "main":
            lines.append(f"deb {uri} {codename} main")
    lines.sort(key=lambda line: line.split()[-2] != DEBIAN)
    if not lines or lines[0].split()[-2] != DEBIAN:
        raise ImageError(f"apt knows no Debian {DEBIAN} mirror on this machine: run apt-get update, then try again.")
    return lines


def _build(socket: Path, base: str, wanted: str, sources: Path, output: IO[str]) -> None:
    passed = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    query = urlencode(
        {
            "dockerfile": "Containerfile",
            "t": REFERENCE,
            "networkmode": "host",
            "rm": "1",
            "forcerm": "1",
            "layers": "0",  # Podman only: keep no image of each step
            "buildargs": json.dumps({"BASE": base, **passed}),
            "labels": json.dumps({CONTENT_LABEL: wanted}),
        }
    )
    with tempfile.TemporaryFile() as context:
        _pack(sources, context)
        context.seek(0)
        with unixhttp.request(socket, "POST", f"/v1.41/build?{query}", context, timeout=900) as response:
            _follow(response, output)
    if not is_current(socket, wanted):
        raise ImageError("The engine says it built the image, but it is not there.")


def _pack(sources: Path, into: IO[bytes]) -> None:
    with tarfile.open(fileobj=into, mode="w") as archive:
        for path in sorted(sources.iterdir()):
            archive.add(path, path.name, filter=_as_root)
        bundle = CA_BUNDLE.read_bytes() if CA_BUNDLE.exists() else b""
        entry = tarfile.TarInfo("host-ca.crt")
        entry.size = len(bundle)
        archive.addfile(entry, io.BytesIO(bundle))


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o644
    return entry


def _follow(response: Any, output: IO[str]) -> None:
    """Write the engine's stream of progress to the log; raise ImageError with what it says went wrong."""
    for line in response:
        try:
            message = json.loads(line)
        except ValueError:
            output.write(line.decode(errors="replace"))
            continue
        output.write(str(message.get("stream") or message.get("status") or "").rstrip() + "\n")
        problem = (message.get("error") or "").strip() or (message.get("message") if response.status >= 400 else None)
        if problem:
            output.write(f"{problem}\n")
            raise ImageError(str(problem))
    if response.status >= 400:
        raise ImageError(f"the engine answered {response.status}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "no output")

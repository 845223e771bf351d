"""A whole utcloud of its own for measuring: own home, own port, started by ``utcloud up``."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

UTCLOUD = str(Path(sys.executable).with_name("utcloud"))


class Stack:
    """``with Stack() as stack``: up before, down after. The preset image is kept in build/ for the next time."""

    def __init__(self) -> None:
        self.home = Path(os.environ.get("UTCLOUD_BENCH_HOME", "build/bench-home")).absolute()
        self.port = int(os.environ.get("UTCLOUD_BENCH_PORT", "18099"))
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("UTCLOUD_")},
            "UTCLOUD_HOME": str(self.home),
            "UTCLOUD_PORT": str(self.port),
        }

    def __enter__(self) -> "Stack":
        self._up()
        return self

    def without_quotas(self) -> None:
        """Down and up again with volumes that are plain folders: where their images would lie there is no room."""
        self._down()
        images = self.home / "site" / "images"
        images.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(images)], check=True)
        self._up()

    def has_quotas(self) -> bool:
        """Whether the node says nothing of volumes without a size."""
        return not any("no quota" in node["reason"] for node in self.call("GET", "/nodes")["items"])

    def _up(self) -> None:
        subprocess.run([UTCLOUD, "up", "--detach"], env=self.env, check=True, stdout=sys.stderr)
        self.access: dict[str, str] = json.loads((self.home / "access.json").read_text())
        self.base = self.access["api_url"].replace("localhost", "127.0.0.1")
        token = httpx.post(
            f"{self.base}/auth/tokens",
            json={"username": self.access["username"], "password": self.access["password"], "name": "bench"},
            headers=self._host,
        )
        token.raise_for_status()
        self.token = str(token.json()["token"])
        self.client = httpx.Client(
            base_url=self.base, headers={**self._host, "Authorization": f"Bearer {self.token}"}, timeout=60
        )
        self._wait_for_node()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._down()

    def _down(self) -> None:
        self.client.close()
        subprocess.run([UTCLOUD, "down"], env=self.env, check=True, stdout=sys.stderr)
        if (images := self.home / "site" / "images").is_mount():
            subprocess.run(["umount", str(images)], check=True)

    @property
    def _host(self) -> dict[str, str]:
        return {"Host": f"localhost:{self.port}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API; return its JSON, or None for an empty answer. Raises for an error."""
        answer = self.client.request(method, path, json=body)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def spec(self) -> dict[str, str]:
        """Ids of a CPU-only specification, its pool and the preset image; the operator's wallet is filled."""
        name = f"bench-{secrets.token_hex(4)}"
        items = [{"resource": "cpu", "quantity": "1"}, {"resource": "memory", "quantity": "1GB"}]
        spec = self.call("POST", "/specs", {"name": name, "price": "0.1", "items": items})
        image = self.call("GET", "/images")["items"][0]
        pool = next(one for one in self.call("GET", "/pools")["items"] if one["is_default"])
        wallet = self.call("GET", "/wallets/mine")
        self.call("POST", "/recharges", {"wallet_id": wallet["id"], "amount": "100", "note": "bench"})
        return {"spec_id": spec["id"], "pool_id": pool["id"], "image_id": image["id"]}

    def _wait_for_node(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(node["status"] == "ready" for node in self.call("GET", "/nodes")["items"]):
                return
            time.sleep(0.2)
        raise RuntimeError("no node became ready within 60 s")

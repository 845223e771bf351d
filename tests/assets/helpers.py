"""What the tests of assets do again and again."""

import asyncio
from base64 import b64encode
from typing import Any

import httpx

Json = dict[str, Any]


def metadata(**values: str) -> str:
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())


async def make(client: httpx.AsyncClient, name: str = "resnet", kind: str = "algorithm", **more: Any) -> Json:
    answer = await client.post(f"/{kind}s", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def draft(client: httpx.AsyncClient, asset: Json, kind: str = "algorithm") -> Json:
    answer = await client.post(f"/{kind}s/{asset['id']}/versions", json={})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def upload(
    client: httpx.AsyncClient, version: Json, path: str, content: bytes, archive: bool = False
) -> httpx.Response:
    """One upload in one request."""
    values = {"version_id": version["id"], "path": path} | ({"archive": "true"} if archive else {})
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(content)),
        "Upload-Metadata": metadata(**values),
        "Content-Type": "application/offset+octet-stream",
    }
    return await client.post("/uploads", headers=headers, content=content)


async def published(client: httpx.AsyncClient, asset: Json, version: Json, kind: str = "algorithm") -> Json:
    """Publish and wait for the outcome."""
    url = f"/{kind}s/{asset['id']}/versions/{version['number']}"
    answer = await client.post(f"{url}/publish")
    assert answer.status_code == 202, answer.text
    for _ in range(2000):
        now: Json = (await client.get(url)).json()
        if now["status"] not in ("processing", "draft"):
            return now
        await asyncio.sleep(0.02)
    raise AssertionError(f"not published in time: {now}")


async def publish_files(
    client: httpx.AsyncClient, asset: Json, files: dict[str, bytes], kind: str = "algorithm"
) -> Json:
    version = await draft(client, asset, kind)
    for path, content in files.items():
        answer = await upload(client, version, path, content)
        assert answer.status_code == 201, answer.text
    return await published(client, asset, version, kind)

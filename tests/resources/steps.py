"""What the people of these tests do again and again."""

from typing import Any

import httpx

from tests.support.factories import CHIP
from tests.support.fixtures import People
from tests.support.scenario import heard
from tests.support.web import Person
from utcloud.protocol import NodeReport
from utcloud.resources import service

Json = dict[str, Any]


async def ok(call: Any, status: int = 200) -> Any:
    response: httpx.Response = await call
    assert response.status_code == status, response.text
    return response.json() if response.content else None


async def join(people: People, miner: Person, *nodes: NodeReport) -> str:
    """The miner makes a site, whose agent reports ``nodes``."""
    site = await ok(miner.client.post("/sites", json={"name": f"at-{miner.user.username}"}), 201)
    async with people.db.write() as tx:
        found = await service.site_for_token(tx, site["token"])
        assert found
        await heard(tx, people.clock.now(), found.id, *nodes)
    ident: str = site["id"]
    return ident


async def make_spec(miner: Person, name: str = "small", **more: Any) -> Json:
    body = {"name": name, "price": "1.5", "items": [{"resource": CHIP, "quantity": "1"}], **more}
    made: Json = await ok(miner.client.post("/specs", json=body), 201)
    return made

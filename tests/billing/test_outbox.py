"""What happened to one's money arrives at real web and mail servers, once and signed, or is seen to be dead."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import Message
from typing import Any, cast

import httpx
import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from sqlalchemy import select, update
from standardwebhooks import Webhook as Signer

from tests.billing.test_routes import ok, wallet_of
from tests.resources.conftest import People
from tests.support.stack import free_port
from tests.support.web import problem
from utcloud.accounts.models import User
from utcloud.billing.models import BillingEvent
from utcloud.billing.outbox import loops
from utcloud.billing.outbox.models import Delivery
from utcloud.common.clock import SystemClock
from utcloud.common.ids import new_id
from utcloud.common.settings import Settings

Json = dict[str, Any]


class Receiver:
    """A web server that keeps what was posted and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.status = 200
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.text()))
        return web.Response(status=self.status, headers={"Location": "http://192.0.2.1/"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://localhost:{runner.addresses[0][1]}/hook"
    yield one
    await runner.cleanup()


async def happen(people: People, kind: str = "low_balance", **detail: Any) -> str:
    wallet = await wallet_of(people.rita)
    event = BillingEvent(
        id=new_id("be"),
        kind=kind,
        wallet_id=wallet["id"],
        owner_id=people.rita.id,
        detail=detail,
        at=people.clock.now(),
    )
    async with people.db.write() as tx:
        tx.add(event)
    return event.id


async def subscribe(people: People, receiver: Receiver, *kinds: str) -> Json:
    body: Json = {"url": receiver.url} | ({"kinds": list(kinds)} if kinds else {})
    made: Json = await ok(people.rita.client.post("/webhooks", json=body), 201)
    return made


async def work(people: People, **settings: Any) -> None:
    """What the loop does in one round."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        await loops.dispatch(people.db, people.clock.now())
        await loops.send_due(people.db, people.clock, Settings(**{"webhook_private": True, **settings}), client)


async def deliveries(people: People, **query: str) -> list[Json]:
    items: list[Json] = (await ok(people.rita.client.get("/deliveries", params=query)))["items"]
    return items


async def test_an_event_is_posted_once_and_its_signature_holds(people: People, receiver: Receiver) -> None:
    hook = await subscribe(people, receiver)
    people.clock.advance(seconds=(SystemClock().now() - people.clock.now()).total_seconds())  # a signature has an age
    event = await happen(people, available="0.5", runs_out_at="2026-01-01T13:00:00Z")
    for _ in range(3):
        await work(people)
    ((headers, body),) = receiver.got
    Signer(hook["secret"]).verify(body, headers)
    message = json.loads(body)
    assert (message["type"], message["data"]["id"], message["data"]["available"]) == ("low_balance", event, "0.5")
    (one,) = await deliveries(people, webhook_id=hook["id"])
    assert (one["state"], one["status"], one["attempts"]) == ("delivered", 200, 1)
    with pytest.raises(Exception, match="No matching signature"):
        Signer(hook["secret"]).verify(body.replace("0.5", "9.5"), headers)


async def test_only_the_wanted_kinds_and_only_ones_own(people: People, receiver: Receiver) -> None:
    await subscribe(people, receiver, "recharged")
    await ok(people.boris.client.post("/webhooks", json={"url": receiver.url}), 201)
    await happen(people, "low_balance")
    await happen(people, "recharged", amount="10")
    await work(people)
    assert [json.loads(body)["type"] for _, body in receiver.got] == ["recharged"]


@pytest.mark.parametrize("status", [500, 302, 404])
async def test_what_fails_is_tried_again_with_the_same_id_until_it_is_dead(
    people: People, receiver: Receiver, status: int
) -> None:
    hook = await subscribe(people, receiver)
    await happen(people)
    receiver.status = status
    for pause in (timedelta(0), *loops.RETRY_AFTER):
        people.clock.advance(seconds=pause.total_seconds())
        await work(people)
        await work(people)
    assert len(receiver.got) == len(loops.RETRY_AFTER) + 1
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    (one,) = await deliveries(people, state="dead")
    assert (one["status"], one["next_at"]) == (status, None) and str(status) in one["error"]
    assert (await ok(people.rita.client.get(f"/webhooks/{hook['id']}")))["dead"] == 1
    receiver.status = 204
    await ok(people.rita.client.post(f"/deliveries/{one['id']}/retry"))
    await work(people)
    assert [d["state"] for d in await deliveries(people)] == ["delivered"]
    problem(await people.rita.client.post(f"/deliveries/{one['id']}/retry"), 409, "already_delivered")


async def test_a_message_that_a_killed_server_had_in_hand_is_taken_up_again(people: People, receiver: Receiver) -> None:
    await subscribe(people, receiver)
    await happen(people)
    await loops.dispatch(people.db, people.clock.now())
    async with people.db.write() as tx:
        await tx.execute(update(Delivery).values(next_at=people.clock.now() + loops.LEASE, attempts=1))
    await work(people)
    assert not receiver.got
    people.clock.advance(seconds=loops.LEASE.total_seconds())
    await work(people)
    assert len(receiver.got) == 1


async def test_two_servers_send_it_once(people: People, receiver: Receiver) -> None:
    import asyncio

    await subscribe(people, receiver)
    await happen(people)
    await asyncio.gather(work(people), work(people), work(people))
    await work(people)
    assert len(receiver.got) == 1


async def test_no_webhook_leads_into_the_platforms_own_network(people: People, receiver: Receiver) -> None:
    await subscribe(people, receiver)
    await happen(people)
    await work(people, webhook_private=False)
    assert not receiver.got
    (one,) = await deliveries(people)
    assert "private network" in one["error"]


async def test_a_test_message_and_switching_off(people: People, receiver: Receiver) -> None:
    hook = await subscribe(people, receiver)
    await ok(people.rita.client.post(f"/webhooks/{hook['id']}/test"), 202)
    await work(people)
    assert json.loads(receiver.got[0][1])["type"] == "ping"
    off = await ok(people.rita.client.patch(f"/webhooks/{hook['id']}", json={"active": False}))
    assert off["active"] is False and "secret" not in off
    await happen(people)
    await work(people)
    assert len(receiver.got) == 1


async def test_others_webhooks_are_not_there(people: People, receiver: Receiver) -> None:
    hook = await subscribe(people, receiver)
    for call in (
        people.boris.client.get(f"/webhooks/{hook['id']}"),
        people.boris.client.patch(f"/webhooks/{hook['id']}", json={"active": False}),
        people.boris.client.delete(f"/webhooks/{hook['id']}"),
        people.boris.client.post(f"/webhooks/{hook['id']}/test"),
    ):
        problem(await call, 404)
    assert (await people.rita.client.delete(f"/webhooks/{hook['id']}")).status_code == 204
    assert (await ok(people.rita.client.get("/webhooks")))["items"] == []


@pytest.mark.parametrize(
    "url", ["ftp://example.org/x", "https://", "not a url", "https://me:pw@example.org/", "http://[::1/", "http://a b/"]
)
async def test_what_is_no_url_is_refused(people: People, url: str) -> None:
    problem(await people.rita.client.post("/webhooks", json={"url": url}), 422, field="url")


@pytest.mark.parametrize("body", [{"kinds": []}, {"kinds": ["rain"]}, {"colour": "red"}])
async def test_bad_webhooks_are_refused(people: People, body: Json) -> None:
    problem(await people.rita.client.post("/webhooks", json={"url": "https://example.org/", **body}), 422)


@asynccontextmanager
async def mailbox() -> AsyncIterator[tuple[str, list[Message]]]:
    got: list[Message] = []

    class Keep(MessageHandler):
        def handle_message(self, message: Message) -> None:
            got.append(message)

    controller = Controller(Keep(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{controller.port}", got
    finally:
        controller.stop()


async def test_a_low_wallet_is_told_by_mail_in_ones_own_language(people: People) -> None:
    async with people.db.write() as tx:
        await tx.execute(update(User).where(User.id == people.rita.id).values(email="rita@example.org"))
    await ok(people.rita.client.patch("/notices/settings", json={"language": "zh", "mail": ["low_balance"]}))
    await happen(people, available="0.5", burn_per_hour="1.5", runs_out_at="2026-01-01T13:00:00Z")
    await happen(people, "recharged", amount="10")
    async with mailbox() as (url, got):
        await work(people, smtp_url=url, mail_from="utcloud <cloud@example.org>")
        await work(people, smtp_url=url)
    (message,) = got
    assert (message["To"], message["From"]) == ("rita@example.org", "utcloud <cloud@example.org>")
    text = cast(bytes, message.get_payload(decode=True)).decode()
    assert "2026-01-01T13:00:00Z" in text and "1.5 UNC" in text


async def test_without_a_mail_server_mail_waits_and_nothing_else_does(people: People, receiver: Receiver) -> None:
    async with people.db.write() as tx:
        await tx.execute(update(User).where(User.id == people.rita.id).values(email="rita@example.org"))
    await subscribe(people, receiver)
    await happen(people)
    await work(people)
    assert len(receiver.got) == 1
    async with people.db.read() as tx:
        states = {row.channel: row.state for row in await tx.scalars(select(Delivery))}
    assert states == {"mail": "waiting", "webhook": "delivered"}
    settings = await ok(people.rita.client.get("/notices/settings"))
    assert settings["mail_possible"] is False


async def test_notices_are_seen(people: People) -> None:
    await happen(people, "recharged", amount="10")
    await happen(people, available="0.5")
    notices = (await ok(people.rita.client.get("/notices")))["items"]
    assert {(one["kind"], one["seen"]) for one in notices} == {("recharged", False), ("low_balance", False)}
    assert (await ok(people.rita.client.get("/notices/settings")))["unseen"] == 2
    assert (await people.rita.client.post("/notices/seen")).status_code == 204
    assert (await ok(people.rita.client.get("/notices/settings")))["unseen"] == 0
    assert (await ok(people.boris.client.get("/notices")))["items"] == []

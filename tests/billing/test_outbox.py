"""What happened to one's money arrives at real web and mail servers, once and signed, or is seen to be dead."""

import asyncio
import base64
import contextlib
import functools
import hashlib
import hmac
import ipaddress
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from email.header import decode_header, make_header
from email.message import Message
from typing import Any, cast

import httpx
import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from sqlalchemy import update
from standardwebhooks import Webhook as Signer

from tests.billing.test_routes import ok, recharge, run, wallet_of
from tests.support.factories import BillingEventFactory, GroupFactory, GroupMemberFactory
from tests.support.fixtures import People
from tests.support.stack import free_port
from tests.support.web import problem
from utcloud.accounts.models import User
from utcloud.accounts.service import throttle
from utcloud.billing import orders
from utcloud.billing.events import EVENTS
from utcloud.billing.outbox import addresses, loops
from utcloud.billing.outbox.addresses import is_public, look_up
from utcloud.billing.outbox.models import Delivery
from utcloud.billing.outbox.schemas import Channel
from utcloud.billing.watch import Watch
from utcloud.common.clock import SystemClock
from utcloud.common.ids import new_id
from utcloud.common.settings import Settings
from utcloud.db import emit

pytestmark = pytest.mark.postgres

Json = dict[str, Any]


class Receiver:
    """A web server that keeps what was posted and answers as told; at `/slow` never to the end."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.status = 200
        self.url = ""

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2].partition("/")[0]

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.text()))
        if request.path == "/slow":
            await asyncio.sleep(60)
        return web.Response(status=self.status, headers={"Location": "http://192.0.2.1/"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.take)
    app.router.add_post("/slow", one.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://localhost:{runner.addresses[0][1]}/hook"
    yield one
    await runner.cleanup()


async def happen(people: People, kind: str = "low_balance", **detail: Any) -> str:
    wallet = await wallet_of(people.rita)
    event = BillingEventFactory.build(
        id=new_id("be"),
        kind=kind,
        wallet_id=wallet["id"],
        owner_id=people.rita.id,
        detail=detail,
        at=people.clock.now(),
    )
    async with people.db.write() as tx:
        tx.add(event)
        emit(tx, EVENTS)
    return event.id


async def subscribe(people: People, receiver: Receiver, *kinds: str) -> Json:
    body: Json = {"url": receiver.url} | ({"kinds": list(kinds)} if kinds else {})
    made: Json = await ok(people.rita.client.post("/webhooks", json=body), 201)
    return made


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom a client trusts. To read them takes a hundredth of a second and more."""
    return httpx.create_ssl_context()


async def work(people: People, **settings: Any) -> None:
    """What the loop does in one round."""
    one = Settings(**{"webhook_private": True, **settings})
    async with httpx.AsyncClient(trust_env=False, timeout=5, verify=_certificates()) as client:
        await loops.dispatch(people.db, people.clock.now(), one)
        for channel in Channel:
            await loops.send_due(people.db, people.clock, one, client, channel)


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
    await loops.dispatch(people.db, people.clock.now(), Settings())
    async with people.db.write() as tx:
        await tx.execute(update(Delivery).values(next_at=people.clock.now() + loops.LEASE, attempts=1))
    await work(people)
    assert not receiver.got
    people.clock.advance(seconds=loops.LEASE.total_seconds())
    await work(people)
    assert len(receiver.got) == 1


async def test_two_servers_send_it_once(people: People, receiver: Receiver) -> None:
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
    assert "lies where webhooks do not go" in one["error"]


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
    files = [(await who.client.get("/webhooks", params={"format": "csv"})).text for who in (people.rita, people.boris)]
    assert [hook["url"] in file for file in files] == [True, False]
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


async def give_address(people: People, address: str = "rita@example.org") -> None:
    async with people.db.write() as tx:
        await tx.execute(update(User).where(User.id == people.rita.id).values(email=address))


def text_of(message: Message) -> str:
    return cast(bytes, message.get_payload(decode=True)).decode()


async def test_a_low_wallet_is_told_by_mail_in_ones_own_language(people: People) -> None:
    await give_address(people)
    await ok(people.rita.client.patch("/notices/settings", json={"language": "zh", "mail": ["low_balance"]}))
    await happen(people, available="0.5", burn_per_hour="1.5", runs_out_at="2026-01-01T13:00:00.123456+00:00")
    await happen(people, "recharged", amount="10")
    async with mailbox() as (url, got):
        await work(people, smtp_url=url, mail_from="utcloud <cloud@example.org>")
        await work(people, smtp_url=url)
    (message,) = got
    assert (message["To"], message["From"]) == ("rita@example.org", "utcloud <cloud@example.org>")
    assert message["Message-ID"].startswith("<msg_") and message["Date"]
    text = text_of(message)
    assert "rita 的钱包" in text and "2026-01-01 13:00 UTC" in text and "1.5 UNC" in text


@pytest.mark.parametrize(
    ("kind", "detail", "subject", "words"),
    [
        ("low_balance", {"available": "0.5", "runs_out_at": None}, "running low", "Nothing that costs runs now."),
        ("recharged", {"change": "recharge", "amount": "10", "by": "oscar", "note": "a {gift}"}, "10 UNC", "a {gift}"),
        ("recharged", {"change": "deduct", "amount": "-4", "by": "oscar"}, "4 UNC deducted", "taken out of the wallet"),
        ("workload_stopped", {"workload": "lab", "reason": "the wallet ran dry"}, "lab was stopped", "ran dry"),
        ("order_settled", {"workload": "lab", "spec": "S", "cost": "1.5"}, "lab is settled: 1.5 UNC", "(S)"),
    ],
)
async def test_a_mail_says_what_happened_in_words(
    people: People, kind: str, detail: Json, subject: str, words: str
) -> None:
    await give_address(people)
    await ok(people.rita.client.patch("/notices/settings", json={"mail": [kind]}))
    await happen(people, kind, **detail)
    async with mailbox() as (url, got):
        await work(people, smtp_url=url)
    (message,) = got
    assert subject in message["Subject"]
    text = text_of(message)
    assert words in text and "the wallet of rita" in text.lower() and "–" not in text and "None" not in text


async def test_no_name_becomes_a_line_of_a_mails_head(people: People) -> None:
    await give_address(people)
    name = "lab\r\nBcc: all@example.org\r\n\r\n实验 {reason.__class__}"
    await happen(people, "workload_stopped", workload=name, reason="why")
    async with mailbox() as (url, got):
        await work(people, smtp_url=url)
    (message,) = got
    assert message["Bcc"] is None and message.get_all("To") == ["rita@example.org"]
    assert "lab Bcc: all@example.org 实验" in str(make_header(decode_header(message["Subject"])))


async def test_mail_is_tried_again_while_its_server_is_away_and_is_seen_to_be_dead(people: People) -> None:
    await give_address(people)
    await happen(people, available="0.5")
    away = f"smtp://127.0.0.1:{free_port()}"
    for pause in (timedelta(0), *loops.RETRY_AFTER):
        people.clock.advance(seconds=pause.total_seconds())
        await work(people, smtp_url=away)
    (dead,) = await deliveries(people, channel="mail", state="dead")
    assert (dead["target"], dead["attempts"]) == ("rita@example.org", len(loops.RETRY_AFTER) + 1) and dead["error"]
    await ok(people.rita.client.post(f"/deliveries/{dead['id']}/retry"))
    async with mailbox() as (url, got):
        await work(people, smtp_url=url)
    assert len(got) == 1
    assert await deliveries(people, channel="webhook") == []


async def test_without_a_mail_server_no_mail_is_made_and_the_rest_goes_out(people: People, receiver: Receiver) -> None:
    await give_address(people)
    await subscribe(people, receiver)
    await happen(people)
    await work(people)
    assert len(receiver.got) == 1
    assert {one["channel"] for one in await deliveries(people)} == {"webhook"}
    assert await loops._pause(people.db, people.clock, Channel.MAIL) > 5  # nothing is due: no need to hurry
    settings = await ok(people.rita.client.get("/notices/settings"))
    assert settings["mail_possible"] is False


async def test_each_kind_arrives_as_it_really_happens(people: People, receiver: Receiver) -> None:
    """Recharged, running low, stopped, settled: from the rules themselves to a receiver that trusts nobody."""
    people.clock.advance(seconds=(SystemClock().now() - people.clock.now()).total_seconds())
    hook = await subscribe(people, receiver)
    await recharge(people, "2", note="first")
    wallet = await wallet_of(people.rita)
    async with people.db.write() as tx:
        wish = orders.Wish(
            workload_id="nb_1", workload_kind="notebook", workload="lab", owner_id=people.rita.id,
            miner_id=people.mina.id, pool_id="pool_1", pool="p", spec_id="spec_1", spec="small", replicas=1,
            unit_price=1_500_000, fee_ppm=50_000,
        )  # fmt: skip
        order = await orders.place(tx, people.clock.now(), wish)
    await run(people, 3000, close=False)
    stopped: list[str] = []

    async def stop(attempts: list[str], reason: str) -> None:
        stopped.extend(attempts)

    await Watch(people.db, people.clock, stop).look()
    async with people.db.write() as tx:
        await orders.told_to_stop(tx, people.clock.now(), [order.id], "the wallet ran dry")
        await orders.settle(tx, people.clock.now(), order.id, "the wallet ran dry")
    for _ in range(2):
        await work(people)
    said = {}
    for headers, body in receiver.got:
        said[json.loads(body)["type"]] = json.loads(body)["data"]
        key = base64.b64decode(hook["secret"].removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
        right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{right}"
        assert abs(int(headers["webhook-timestamp"]) - people.clock.now().timestamp()) < 2
    assert sorted(said) == ["low_balance", "order_settled", "recharged", "workload_stopped"]
    assert len(receiver.got) == 4
    assert {(data["wallet_id"], data["owner"], data["owner_name"]) for data in said.values()} == {
        (wallet["id"], "user", "rita")
    }
    assert said["recharged"]["amount"] == "2" and said["low_balance"]["burn_per_hour"] == "1.5"
    assert said["order_settled"]["workload"] == "lab" and said["workload_stopped"]["reason"] == "the wallet ran dry"


async def test_a_groups_manager_hears_which_wallet_it_is(people: People, receiver: Receiver) -> None:
    group = await ok(people.oscar.client.get("/wallets", params={"owner": "group"}))
    assert group["items"] == []
    async with people.db.write() as tx:
        tx.add(GroupFactory.build(id="grp_1", name="physics"))
        await tx.flush()
        tx.add(GroupMemberFactory.build(group_id="grp_1", user_id=people.rita.id, role="manager"))
    (wallet,) = (await ok(people.oscar.client.get("/wallets", params={"owner": "group"})))["items"]
    await subscribe(people, receiver)
    await ok(people.oscar.client.post("/recharges", json={"wallet_id": wallet["id"], "amount": "3"}), 201)
    await work(people)
    ((_, body),) = receiver.got
    assert (json.loads(body)["data"]["owner"], json.loads(body)["data"]["owner_name"]) == ("group", "physics")
    (notice,) = (await ok(people.rita.client.get("/notices")))["items"]
    assert (notice["owner"], notice["owner_name"]) == ("group", "physics")


async def test_a_new_secret_signs_and_for_a_day_the_old_one_too(people: People, receiver: Receiver) -> None:
    people.clock.advance(seconds=(SystemClock().now() - people.clock.now()).total_seconds() - 90_000)
    old = await subscribe(people, receiver)
    new = await ok(people.rita.client.post(f"/webhooks/{old['id']}/rotate-secret"))
    assert new["secret"] != old["secret"] and new["old_secret_until"]
    assert "secret" not in await ok(people.rita.client.get(f"/webhooks/{old['id']}"))
    await happen(people)
    await work(people)
    people.clock.advance(days=1, seconds=3600)  # now, as the receiver's clock has it
    await happen(people)
    await work(people)
    (both, _), (one, body) = receiver.got
    assert len(both["webhook-signature"].split()) == 2 and len(one["webhook-signature"].split()) == 1
    Signer(new["secret"]).verify(body, one)
    with pytest.raises(Exception, match="No matching signature"):
        Signer(old["secret"]).verify(body, one)
    for secret in (old["secret"], new["secret"]):
        made = Signer(secret).sign(
            both["webhook-id"], people.clock.now() - timedelta(days=1, hours=1), receiver.got[0][1]
        )
        assert made in both["webhook-signature"].split()
    problem(await people.boris.client.post(f"/webhooks/{old['id']}/rotate-secret"), 404)


async def test_what_waits_for_a_webhook_that_is_switched_off_is_given_up(people: People, receiver: Receiver) -> None:
    hook = await subscribe(people, receiver)
    await happen(people)
    await loops.dispatch(people.db, people.clock.now(), Settings())
    await ok(people.rita.client.patch(f"/webhooks/{hook['id']}", json={"active": False}))
    await work(people)
    assert not receiver.got
    (one,) = await deliveries(people, state="dead")
    assert "switched off" in one["error"]


async def test_a_receiver_that_never_answers_holds_up_nobody_else(
    people: People, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(throttle, "_OWN", replace(throttle._OWN, free=100))
    slow = await ok(people.boris.client.post("/webhooks", json={"url": receiver.url.replace("/hook", "/slow")}), 201)
    for _ in range(60):
        await ok(people.boris.client.post(f"/webhooks/{slow['id']}/test"), 202)
    people.clock.advance(seconds=1)
    await subscribe(people, receiver)
    await happen(people)
    begun = time.monotonic()
    await work(people)
    assert time.monotonic() - begun < 5
    assert [one["state"] for one in await deliveries(people)] == ["delivered"]
    tried = [one for one in (await ok(people.boris.client.get("/deliveries?limit=100")))["items"] if one["attempts"]]
    assert {one["error"] for one in tried} == {"no answer within 0.5 s"} and len(tried) == 5


async def test_a_message_that_cannot_be_sent_keeps_no_other(
    people: People, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await ok(people.boris.client.post("/webhooks", json={"url": "https://odd.example/"}), 201)
    await ok(people.boris.client.post(f"/webhooks/{other['id']}/test"), 202)

    async def odd(url: str, *, private: bool, user_id: str) -> Any:
        if "odd" in url:
            raise ValueError("nobody thought of this")
        return await look_up(url, private=private, user_id=user_id)

    monkeypatch.setattr(loops, "look_up", odd)
    await subscribe(people, receiver)
    await happen(people)
    await work(people)
    assert len(receiver.got) == 1
    (one,) = (await ok(people.boris.client.get("/deliveries")))["items"]
    assert one["state"] == "waiting" and "nobody thought of this" in one["error"]


async def test_the_address_that_was_looked_up_is_the_one_that_is_spoken_to(
    people: People, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere a moment later gains nothing; a name of any script can be said."""
    asked: list[str] = []

    async def resolve(name: str) -> Any:
        asked.append(name)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) == 1 else "192.0.2.1")]

    monkeypatch.setattr(addresses, "resolve", resolve)
    url = f"http://exämple.test:{receiver.port}/hook"
    await ok(people.rita.client.post("/webhooks", json={"url": url}), 201)
    await happen(people)
    await work(people)
    ((headers, _),) = receiver.got
    assert asked == ["xn--exmple-cua.test"]
    assert headers["Host"] == f"xn--exmple-cua.test:{receiver.port}"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("64:ff9b::5db8:d822", True),
        ("0.0.0.0", False),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:100.64.0.1", False),
        ("::ffff:224.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


async def test_the_loops_bring_a_webhook_while_the_mail_server_says_nothing(people: People, receiver: Receiver) -> None:
    await give_address(people)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = Settings(webhook_private=True, smtp_url=url)
    task = asyncio.create_task(loops.deliver(people.db, people.clock, settings))
    try:
        await happen(people)  # its mail is tried now, and nobody answers
        async with asyncio.timeout(10):
            while not [one for one in await deliveries(people) if one["attempts"]]:
                await asyncio.sleep(0.05)
        await subscribe(people, receiver)
        await happen(people)
        async with asyncio.timeout(10):
            while not receiver.got:
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.close()
    assert [one["state"] for one in await deliveries(people, channel="mail")] == ["waiting"] * 2


async def test_notices_and_messages_are_files_of_a_time(people: People, receiver: Receiver) -> None:
    await subscribe(people, receiver)
    await happen(people, available="0.25")
    await work(people)
    people.clock.advance(days=1)
    middle = people.clock.now()
    people.clock.advance(days=1)
    await happen(people, "recharged", amount="10", note="=1+1")
    await work(people)
    for path in ("/notices", "/deliveries"):
        for when, kind in (
            ({"until": middle.isoformat()}, "low_balance"),
            ({"since": middle.isoformat()}, "recharged"),
        ):
            answer = await people.rita.client.get(path, params={**when, "format": "jsonl"})
            assert [json.loads(line)["kind"] for line in answer.text.splitlines()] == [kind]
            page = (await ok(people.rita.client.get(path, params=when)))["items"]
            assert page == [json.loads(line) for line in answer.text.splitlines()]
            table = await people.rita.client.get(path, params={**when, "format": "csv"})
            assert len(table.text.splitlines()) == 2


async def test_notices_are_seen(people: People) -> None:
    await happen(people, "recharged", amount="10")
    await happen(people, available="0.5")
    notices = (await ok(people.rita.client.get("/notices")))["items"]
    assert {(one["kind"], one["seen"]) for one in notices} == {("recharged", False), ("low_balance", False)}
    assert (await ok(people.rita.client.get("/notices/settings")))["unseen"] == 2
    assert (await people.rita.client.post("/notices/seen")).status_code == 204
    assert (await ok(people.rita.client.get("/notices/settings")))["unseen"] == 0
    assert (await ok(people.boris.client.get("/notices")))["items"] == []


async def test_tests_and_retries_are_limited_for_each_user(people: People, receiver: Receiver) -> None:
    """The platform is no source of requests to whatever host somebody names."""
    test = f"/webhooks/{(await subscribe(people, receiver))['id']}/test"
    for _ in range(20):
        await ok(people.rita.client.post(test), 202)
    refused = await people.rita.client.post(test)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    one = (await ok(people.rita.client.get("/deliveries")))["items"][0]
    assert (await people.rita.client.post(f"/deliveries/{one['id']}/retry")).status_code == 429
    other = await ok(people.boris.client.post("/webhooks", json={"url": "https://other.example/"}), 201)
    await ok(people.boris.client.post(f"/webhooks/{other['id']}/test"), 202)
    people.clock.advance(hours=1, seconds=1)
    await ok(people.rita.client.post(test), 202)

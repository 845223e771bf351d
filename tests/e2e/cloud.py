"""What a miner sets up once, by REST: a custom resource, specifications, a pool, a group and renters."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.api import Api, Json, wait_for
from tests.support.factories import CHIP, PRICE
from tests.support.stack import Stack
from utcloud.common.money import format_unc, parse_unc

UNIT_PRICE = format_unc(PRICE)


@dataclass
class Cloud:
    """One module's own corner of the stack; ``name`` keeps its things apart from other modules'."""

    stack: Stack
    operator: Api
    name: str
    node: Json = field(default_factory=dict)
    resource: Json = field(default_factory=dict)
    spec: Json = field(default_factory=dict)
    small: Json = field(default_factory=dict)
    """A specification without a chip."""
    pool: Json = field(default_factory=dict)
    group: Json = field(default_factory=dict)
    image: Json = field(default_factory=dict)
    renter: Api = field(init=False)
    user: Json = field(default_factory=dict)

    @classmethod
    def build(cls, stack: Stack, operator: Api, name: str) -> "Cloud":
        one = cls(stack, operator, name)
        one.node = stack.wait_until_heard(operator)
        one.resource = operator.post("/custom-resources", {"name": f"TPU-{name}", "system_resource": CHIP})
        one.spec = one.add_spec(f"{name}-0.5CPU-1GB-1TPU", {"cpu": "0.5", "memory": "1GB", f"TPU-{name}": "1"})
        one.small = one.add_spec(f"{name}-0.1CPU-512MB", {"cpu": "0.1", "memory": "512MB"}, "0.36")
        one.group = operator.post("/groups", {"name": f"group-{name}"})
        one.pool = operator.post(
            "/pools",
            {
                "name": f"pool-{name}",
                "node_ids": [one.node["id"]],
                "group_ids": [one.group["id"]],
                "notebook_spec_ids": [one.spec["id"], one.small["id"]],
            },
        )
        one.image = operator.named("/images", "jupyter") or {}
        one.user, one.renter = one.add_renter("renter", "100")
        return one

    def add_spec(self, name: str, items: dict[str, str], price: str = UNIT_PRICE) -> Json:
        """Make a specification that no pool offers yet."""
        asked = [{"resource": resource, "quantity": quantity} for resource, quantity in items.items()]
        made: Json = self.operator.post("/specs", {"name": name, "price": price, "items": asked, "pool_ids": []})
        return made

    def offer(self, spec: Json) -> None:
        """Offer a specification in this module's pool as well."""
        pool = self.operator.get(f"/pools/{self.pool['id']}")
        ids = [one["id"] for one in pool["notebook_specs"]]
        self.operator.patch(f"/pools/{self.pool['id']}", {"notebook_spec_ids": [*ids, spec["id"]]})

    def add_renter(self, name: str, unc: str = "") -> tuple[Json, Api]:
        """A user of this module's group with so much UNC, and his access."""
        username = f"{name}-{self.name}-{secrets.token_hex(2)}"
        user: Json = self.operator.post("/users", {"username": username, "group_ids": [self.group["id"]]})
        api = self.stack.anonymous().login(username, user["initial_password"])
        if unc:
            self.recharge(user["id"], unc)
        return user, api

    def wallet(self, user_id: str) -> Json:
        return next(one for one in self.operator.all("/wallets") if one["owner_id"] == user_id)

    def recharge(self, user_id: str, unc: str) -> Json:
        body = {"wallet_id": self.wallet(user_id)["id"], "amount": unc, "note": f"for {self.name}"}
        made: Json = self.operator.post("/recharges", body)
        return made

    def wish(self, name: str, **fields: Any) -> Json:
        """The body that creates a notebook."""
        ids = {"image_id": self.image["id"], "pool_id": self.pool["id"], "spec_id": self.spec["id"]}
        return {"name": name, **ids} | fields

    def create(self, name: str, api: Api | None = None, **fields: Any) -> Json:
        made: Json = (api or self.renter).post("/notebooks", self.wish(name, **fields))
        return made

    def containers(self, notebook_id: str) -> list[Json]:
        """The running containers of a notebook."""
        return [
            one
            for one in self.stack.containers()
            if one["Labels"].get("utcloud.workload") == notebook_id and one["State"] == "running"
        ]

    def stop_all(self) -> None:
        """Stop what this module's renters still run, on the miner's word, and wait until it is gone."""
        for one in self.operator.all("/replicas"):
            if self.name in one["owner_name"] and one["state"] != "stopping":
                self.operator.post(f"/replicas/{one['replica_id']}/stop", {"reason": "the test is over"})
        wait_for(
            lambda: not [one for one in self.operator.all("/replicas") if self.name in one["owner_name"]],
            f"all work of {self.name} ends",
            60,
        )


def micro(unc: str) -> int:
    """A decimal string of UNC, of either sign, as micro-UNC."""
    return -parse_unc(unc[1:]) if unc.startswith("-") else parse_unc(unc)


def expected_amount(charge: Json) -> int:
    """The design's formula on what a charge record says: price × (end − start), in micro-UNC, rounded down."""
    start, end = (datetime.fromisoformat(charge[key]) for key in ("started_at", "ended_at"))
    span = end - start
    elapsed_ms = (span.days * 86_400 + span.seconds) * 1000 + span.microseconds // 1000
    return micro(charge["price"]) * elapsed_ms // 3_600_000


def charges_of(api: Api, notebook_id: str) -> list[Json]:
    return api.all("/charges", workload_id=notebook_id)

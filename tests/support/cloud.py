"""What a miner sets up once, by REST: a custom resource, specifications, a pool, a group and renters."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from tests.support.api import Api, Json
from tests.support.factories import CHIP, PRICE
from utcloud.common.money import format_unc

UNIT_PRICE = format_unc(PRICE)


class Place(Protocol):
    """A server that can be reached: a whole stack, or ``Served`` with a ``SiteDouble``."""

    @property
    def access(self) -> Json: ...

    def anonymous(self) -> Api: ...

    def wait_until_heard(self, api: Api) -> Json: ...


@dataclass
class Cloud:
    """One module's own corner of a place; ``name`` keeps its things apart from other modules'."""

    stack: Place
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
    def build(cls, stack: Place, operator: Api, name: str) -> Self:
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

"""A body for every creating route that would be taken, and who may send it."""

import secrets

from tests.support.api import Api, Json
from tests.support.cloud import Cloud


def good_bodies(cloud: Cloud) -> dict[str, tuple[Api, Json]]:
    """Who may create there, and a body that would be taken."""
    fresh = secrets.token_hex(4)
    operator, renter = cloud.operator, cloud.renter
    return {
        "/users": (operator, {"username": f"user-{fresh}"}),
        "/groups": (operator, {"name": f"group-{fresh}"}),
        "/sites": (operator, {"name": f"site-{fresh}"}),
        "/custom-resources": (operator, {"name": f"R-{fresh}", "system_resource": "sophgo.com/bm1684x"}),
        "/specs": (
            operator,
            {"name": f"S-{fresh}", "price": "1", "items": [{"resource": "cpu", "quantity": "1"}], "pool_ids": []},
        ),
        "/pools": (operator, {"name": f"pool-{fresh}"}),
        "/algorithms": (renter, {"name": f"a-{fresh}"}),
        "/datasets": (renter, {"name": f"d-{fresh}"}),
        "/models": (renter, {"name": f"m-{fresh}"}),
        "/images": (operator, {"name": f"i-{fresh}", "reference": f"localhost/{fresh}:1"}),
        "/notebooks": (renter, cloud.wish(f"n-{fresh}", start=False)),
        "/recharges": (
            operator,
            {"wallet_id": cloud.wallet(cloud.user["id"])["id"], "amount": "1", "note": "", "kind": "recharge"},
        ),
        "/auth/tokens": (
            operator,
            {
                "username": cloud.stack.access["username"],
                "password": cloud.stack.access["password"],
                "name": f"t-{fresh}",
            },
        ),
    }

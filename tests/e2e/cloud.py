"""A module's corner of the stack, and what its bills must say."""

from datetime import datetime

from tests.support import cloud
from tests.support.api import Api, Json, wait_for
from tests.support.stack import Stack
from utcloud.common.money import parse_unc


class Cloud(cloud.Cloud):
    """With the containers behind it."""

    stack: Stack

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

"""One journey past every secret that the platform gives to somebody: what no log and no database may show in clear."""

import secrets
from dataclasses import dataclass, field

import httpx

from tests.support.api import Refused
from tests.support.cloud import Cloud

MINE = "correct horse battery staple"
WRONG = "a wrong password 7c1f"


@dataclass
class Secrets:
    """What was seen on the way, by what it is."""

    known: dict[str, str] = field(default_factory=dict)

    def found_in(self, text: str | bytes) -> list[str]:
        """The names of those that stand in a text."""
        whole = text.encode() if isinstance(text, str) else text
        return sorted(name for name, secret in self.known.items() if secret.encode() in whole)


def travel(cloud: Cloud, open_path: str = "/_utcloud/open") -> Secrets:
    """Log in by every way, fail to, make tokens, codes, a webhook, a site, a notebook that runs, and open its page."""
    seen, name = Secrets(), f"sam-{cloud.name}-{secrets.token_hex(3)}"
    known, operator = seen.known, cloud.operator
    known["operator's token"] = operator.http.headers["authorization"].removeprefix("Bearer ")

    made = operator.post("/users", {"username": name, "group_ids": [cloud.group["id"]]})
    known["first password"] = made["initial_password"]
    known["password after a reset"] = operator.post(f"/users/{made['id']}/reset-password")["password"]
    cloud.recharge(made["id"], "10")
    me = cloud.stack.anonymous().login(name, known["password after a reset"])
    known["API token"] = me.http.headers["authorization"].removeprefix("Bearer ")
    known["chosen password"] = MINE
    change = {"current_password": known["password after a reset"], "new_password": MINE, "revoke_tokens": False}
    me.post("/auth/password", change)

    known["wrong password"] = WRONG
    for body in ({"username": name, "password": WRONG}, {"username": f"no-{name}", "password": WRONG}):
        for path in ("/auth/session", "/auth/tokens"):
            try:
                cloud.stack.anonymous().post(path, body)
            except Refused as refused:
                assert refused.status == 401
    with httpx.Client(base_url=me.http.base_url, headers={"Host": me.host}, trust_env=False) as browser:
        answer = browser.post("auth/session", json={"username": name, "password": MINE})
        answer.raise_for_status()
        known["session's cookie"] = next(iter(browser.cookies.values()))
        known["CSRF token"] = answer.json()["csrf_token"]

    known["invitation"] = operator.post("/invitations", {})["code"]
    known["site's token"] = operator.post("/sites", {"name": f"site-{name}"})["token"]
    hook = me.post("/webhooks", {"url": "https://example.com/hook"})
    known["webhook's secret"] = hook["secret"]
    known["webhook's new secret"] = me.post(f"/webhooks/{hook['id']}/rotate-secret")["secret"]
    setup = me.post("/auth/second-factor/totp", {"password": MINE})
    known["secret of an authenticator app"] = setup["secret"]

    notebook = cloud.create(f"nb-{name}", me)
    me.wait_state(notebook["id"], "running")
    opening = httpx.URL(me.post(f"/notebooks/{notebook['id']}/open")["url"])
    known["unused opening code"] = opening.params["code"]
    used = httpx.URL(me.post(f"/notebooks/{notebook['id']}/open")["url"])
    known["used opening code"] = used.params["code"]
    entered = httpx.get(
        f"{me.origin}{open_path}", params={"code": used.params["code"]}, headers={"Host": used.host}, trust_env=False
    )
    known["page's cookie"] = entered.headers["set-cookie"].partition("=")[2].partition(";")[0]
    return seen

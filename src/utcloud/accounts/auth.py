"""Who is asking. Other rooms' routes take ``CurrentActor`` as a parameter; their rules call ``require_…``."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection

from utcloud.common.errors import Forbidden, Unauthenticated
from utcloud.common.settings import Settings


@dataclass(frozen=True, slots=True)
class Actor:
    """The user behind a request, as the credential proved."""

    id: str
    username: str
    is_operator: bool = False
    is_miner: bool = False
    is_renter: bool = False
    ip: str = ""
    is_issuer: bool = False
    """A miner who may put machine hours into wallets: of groups that his pools are bound to, and of their members."""
    must_set_up: bool = False
    """The platform demands a second factor, and there is none: nothing but setting it up is allowed."""

    def recharges(self, settings: Settings) -> bool:
        """Whether he puts machine hours into anybody's wallet and takes them out."""
        return self.is_operator or (self.is_miner and settings.recharge_by == "miners")

    def require_operator(self) -> None:
        if not self.is_operator:
            raise Forbidden("Only an operator may do this.", cure="Ask an operator of the platform.")

    def require_miner(self) -> None:
        """An operator may do what a miner may."""
        if not (self.is_miner or self.is_operator):
            raise Forbidden("Only a miner may do this.", cure="Ask an operator for the role of a miner.")

    def require_renter(self) -> None:
        """An operator may do what a renter may."""
        if not (self.is_renter or self.is_operator):
            raise Forbidden("Only a renter may do this.", cure="Ask an operator for the role of a renter.")


SYSTEM = Actor(id="", username="system", is_operator=True)
"""The platform itself, for what nobody asked for: a wallet that ran dry, a lost node."""


async def current_actor(request: Request) -> Actor:
    """The actor whom the server's authentication middleware found; raises Unauthenticated when there is none."""
    actor = request.scope.get("utcloud.actor")
    if not isinstance(actor, Actor):
        raise nobody()
    return actor


def nobody() -> Unauthenticated:
    """What is said to a request without a credential."""
    return Unauthenticated("No valid session or API token came with the request.", cure="Log in and try again.")


CurrentActor = Annotated[Actor, Depends(current_actor)]


def session_cookie_name(settings: Settings) -> str:
    """``__Host-`` binds the cookie to the consoles' own host: no page of a replica can set one over it. Needs https."""
    return "__Host-utcloud_session" if settings.console_origin.startswith("https:") else "utcloud_session"


def session_cookie(connection: HTTPConnection) -> str | None:
    """The session's secret that a browser sent."""
    return connection.cookies.get(session_cookie_name(connection.app.state.settings))


def device_cookie_name(settings: Settings) -> str:
    """Says that somebody has logged in with this browser before; logs nobody in."""
    return session_cookie_name(settings).replace("session", "device")


def device_cookie(connection: HTTPConnection) -> str | None:
    """The device cookie that a browser sent."""
    return connection.cookies.get(device_cookie_name(connection.app.state.settings))


DeviceCookie = Annotated[str | None, Depends(device_cookie)]
SessionCookie = Annotated[str | None, Depends(session_cookie)]


def client_ip(request: HTTPConnection) -> str:
    """The asker's address: the edge's word (the last of X-Forwarded-For), else the connection's; may be empty."""
    forwarded = request.headers.get("x-forwarded-for", "").split(",")[-1].strip()
    return (forwarded or (request.client.host if request.client else ""))[:64]


ClientIp = Annotated[str, Depends(client_ip)]

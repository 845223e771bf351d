"""HTTP of accounts. The server adds the prefix ``/api/v1``."""

from fastapi import APIRouter

from utcloud.accounts.routes import applications, audit_events, auth, groups, invitations, second_factor, users

router = APIRouter()
for _part in (auth, second_factor, users, groups, invitations, applications, audit_events):
    router.include_router(_part.router)

__all__ = ["router"]

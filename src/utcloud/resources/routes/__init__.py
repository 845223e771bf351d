"""HTTP of resources. The server adds the prefix ``/api/v1``."""

from fastapi import APIRouter

from utcloud.resources.routes import names, nodes, pools, sites, specs

router = APIRouter()
for _part in (sites, nodes, names, specs, pools):
    router.include_router(_part.router)

__all__ = ["router"]

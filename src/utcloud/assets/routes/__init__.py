"""HTTP of assets. The server adds the prefix ``/api/v1``."""

from fastapi import APIRouter

from utcloud.assets.routes import assets, images, storage, uploads

router = APIRouter()
for _part in (assets, uploads, storage, images):
    router.include_router(_part.router)

__all__ = ["router"]

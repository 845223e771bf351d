"""The rules of assets, their versions, and images: one face, several files."""

from utcloud.assets.service.assets import (
    asset_detail,
    asset_in_use_checks,
    asset_out,
    create_asset,
    delete_asset,
    list_assets,
    update_asset,
    version_in_use_checks,
)
from utcloud.assets.service.common import InUseCheck
from utcloud.assets.service.images import (
    create_image,
    delete_image,
    ensure_preset_image,
    image_in_use_checks,
    list_images,
    update_image,
    usable_image,
)
from utcloud.assets.service.versions import (
    create_version,
    delete_version,
    get_version,
    list_files,
    manifest,
    one_file,
    publish_version,
    usable_version,
    version_out,
)

__all__ = [
    "InUseCheck",
    "asset_detail",
    "asset_in_use_checks",
    "asset_out",
    "create_asset",
    "create_image",
    "create_version",
    "delete_asset",
    "delete_image",
    "delete_version",
    "ensure_preset_image",
    "get_version",
    "image_in_use_checks",
    "list_assets",
    "list_files",
    "list_images",
    "manifest",
    "one_file",
    "publish_version",
    "update_asset",
    "update_image",
    "usable_image",
    "usable_version",
    "version_in_use_checks",
    "version_out",
]

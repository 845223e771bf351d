"""What the API says of sites, nodes, resources, specifications and pools: one face, several files."""

from utcloud.resources.schemas.common import (
    Ids,
    NodeRef,
    PoolRef,
    Quantity,
    Usage,
)
from utcloud.resources.schemas.names import (
    CustomResourceCreate,
    CustomResourceOut,
    CustomResourceUpdate,
    SystemResourceOut,
)
from utcloud.resources.schemas.nodes import (
    ChipOut,
    NodeDetail,
    NodeOut,
    NodeSort,
    NodeStatus,
)
from utcloud.resources.schemas.pools import (
    PoolCreate,
    PoolOut,
    PoolSpecRef,
    PoolUpdate,
    Purpose,
)
from utcloud.resources.schemas.sites import (
    SiteCreate,
    SiteCreated,
    SiteOut,
)
from utcloud.resources.schemas.specs import (
    SpecCreate,
    SpecFit,
    SpecItemIn,
    SpecOut,
    SpecUpdate,
)

__all__ = [
    "ChipOut",
    "CustomResourceCreate",
    "CustomResourceOut",
    "CustomResourceUpdate",
    "Ids",
    "NodeDetail",
    "NodeOut",
    "NodeRef",
    "NodeSort",
    "NodeStatus",
    "PoolCreate",
    "PoolOut",
    "PoolRef",
    "PoolSpecRef",
    "PoolUpdate",
    "Purpose",
    "Quantity",
    "SiteCreate",
    "SiteCreated",
    "SiteOut",
    "SpecCreate",
    "SpecFit",
    "SpecItemIn",
    "SpecOut",
    "SpecUpdate",
    "SystemResourceOut",
    "Usage",
]

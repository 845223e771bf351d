"""The rules of sites, nodes, resources, specifications and pools: one face, several files."""

from utcloud.resources.service.common import InUseCheck, pool_in_use_checks, spec_in_use_checks
from utcloud.resources.service.names import (
    create_custom_resource,
    delete_custom_resource,
    get_custom_resource,
    list_custom_resources,
    list_system_resources,
    simulated_names,
    update_custom_resource,
)
from utcloud.resources.service.nodes import count_nodes, get_node, list_nodes, usage_in_sum
from utcloud.resources.service.pools import (
    create_pool,
    default_pool,
    delete_pool,
    get_pool,
    list_pools,
    pool_ids_of,
    update_pool,
    usable_pool,
)
from utcloud.resources.service.sites import (
    bump,
    create_site,
    delete_site,
    ensure_site,
    get_site,
    list_sites,
    site_connected,
    site_for_token,
)
from utcloud.resources.service.specs import create_spec, delete_spec, get_spec, list_specs, update_spec

__all__ = [
    "InUseCheck",
    "bump",
    "count_nodes",
    "create_custom_resource",
    "create_pool",
    "create_site",
    "create_spec",
    "default_pool",
    "delete_custom_resource",
    "delete_pool",
    "delete_site",
    "delete_spec",
    "ensure_site",
    "get_custom_resource",
    "get_node",
    "get_pool",
    "get_site",
    "get_spec",
    "list_custom_resources",
    "list_nodes",
    "list_pools",
    "list_sites",
    "list_specs",
    "list_system_resources",
    "pool_ids_of",
    "pool_in_use_checks",
    "simulated_names",
    "site_connected",
    "site_for_token",
    "spec_in_use_checks",
    "update_custom_resource",
    "update_pool",
    "update_spec",
    "usable_pool",
    "usage_in_sum",
]

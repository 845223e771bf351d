"""Routes, chips and accounts of before come through the migration that binds them to sites and miners."""

import asyncio

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from utcloud.db import Database
from utcloud.db.migrations import config, upgrade

pytestmark = pytest.mark.postgres

_ROUTES = {
    "good": ("local", "10.89.0.2:8888", 1),
    "old": ("local", "10.89.0.3:8888", 1),
    "twin": ("local", "10.89.0.3:8888", 2),
    "forged": ("local", "[2001:db8::1%a]@127.0.0.1:9090", 1),
    "distant": ("far", "10.0.0.7:80", 1),
}
"""Replica → its site, its upstream, and when it was made."""


async def test_what_was_there_is_bound_to_its_site(bare_url: str) -> None:
    await asyncio.to_thread(command.upgrade, config(bare_url), "0009")
    database = Database(bare_url)
    rows = [
        "users (id, username, display_name, email, password_hash, is_operator, is_miner, is_renter, status, created_at)"
        " VALUES ('u', 'u', '', '', '', false, true, true, 'active', 0)",
        "pools (id, miner_id, name, description, is_default, open_to_all, created_at)"
        " VALUES ('p', 'u', 'p', '', true, true, 0)",
        *(
            "sites (id, name, miner_id, token_hash, revision, agent_version, clock_offset_ms, report_digest,"
            f" created_at) VALUES ('si_{name}', '{name}', 'u', '{name}', 0, '', 0, 'x', 0)"
            for name in ("local", "far")
        ),
        "nodes (id, site_id, pool_id, name, ip, os, kernel, architecture, engine, labels, ready, reason, gone,"
        " created_at) VALUES ('n', 'si_far', 'p', 'n', '', '', '', '', '', '{}', true, '', false, 0)",
        'chips (id, uid, node_id, resource, "index", model, card, serial, bus_id, device_paths, healthy, simulated,'
        " present) VALUES ('c', 'uid', 'n', 'r', 0, '', '', '', '', '[]', true, false, true)",
        "chip_claims (chip_id, attempt_id) VALUES ('c', 'a')",
        "specs (id, miner_id, name, description, price, created_at) VALUES ('s', 'u', 's', '', 1, 0)",
        "images (id, owner_id, name, reference, description, visibility, jupyter, created_at)"
        " VALUES ('i', 'u', 'i', 'i', '', 'preset', true, 0)",
        "workloads (id, kind, owner_id, name, description, pool_id, wanted, state, reason, image_id, facts, created_at,"
        " changed_at) VALUES ('w', 'notebook', 'u', 'w', '', 'p', 'running', 'pending', '', 'i', '{}', 0, 0)",
        "subtasks (id, workload_id, name, spec_id, image, replicas) VALUES ('t', 'w', 't', 's', 'i', 1)",
        *(
            'replicas (id, workload_id, subtask_id, "index", state, reason, attempts, site_id, queued_at)'
            f" VALUES ('{replica}', 'w', 't', {number}, 'running', '', 1, 'si_{site}', 0)"
            for number, (replica, (site, _, _)) in enumerate(_ROUTES.items())
        ),
        *(
            "edge_routes (replica_id, owner_id, host_label, upstream, upstream_token, secret, created_at)"
            f" VALUES ('{replica}', 'u', '{replica}', '{upstream}', '', 's', {made})"
            for replica, (_, upstream, made) in _ROUTES.items()
        ),
        "ledger_accounts (id, kind, owner_id, balance, created_at) VALUES ('a', 'wallet', 'u', 0, 0)",
    ]
    async with database.engine.begin() as connection:
        for row in rows:
            await connection.execute(text(f"INSERT INTO {row}"))
    await asyncio.to_thread(upgrade, bare_url)
    async with database.engine.begin() as connection:
        routes = await connection.execute(text("SELECT replica_id, site_id FROM edge_routes ORDER BY replica_id"))
        assert [tuple(row) for row in routes] == [("good", "si_local"), ("twin", "si_local")]
        chips = await connection.execute(text("SELECT miner_id, uid FROM chips"))
        assert [tuple(row) for row in chips] == [("u", "uid")]
        assert (await connection.execute(text("SELECT count(*) FROM chip_claims"))).scalar() == 1
        kind = "INSERT INTO journal_accounts (id, kind, owner_id, balance, created_at) VALUES ('x', '{0}', 'u', {1}, 0)"
        await connection.execute(text(kind.format("held", 0)))
    for row in (kind.format("other", 0), kind.format("earnings", -1)):
        with pytest.raises(IntegrityError):
            async with database.engine.begin() as connection:
                await connection.execute(text(row))
    await database.close()

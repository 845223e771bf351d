"""What a site shall have and what it said, each by a mark that changes with it.

Both together change whenever something changes of what its nodes hold (``capacity.holdings``).
"""

import secrets

from sqlalchemy import func, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from utcloud.db import Tx, emit
from utcloud.resources.models import Site


async def bump(tx: Tx, *site_ids: str) -> None:
    """The desired state of these sites has changed: raise their revisions and wake their agents' long polls.

    What the next report of one says of work is looked at anew even if it says nothing new: it may mean something else
    now.
    """
    if not site_ids:
        return
    rows = await tx.execute(
        update(Site)
        .where(Site.id.in_(site_ids))
        .values(revision=Site.revision + 1, report_digest=func.substr(Site.report_digest, 1, 32))
        .returning(Site.id, Site.revision)
        .execution_options(synchronize_session=False)
    )
    for site_id, revision in rows:
        held = tx.identity_map.get(identity_key(Site, site_id))
        if held is not None:
            set_committed_value(held, "revision", revision)
            set_committed_value(held, "report_digest", held.report_digest[:32])
    for site_id in site_ids:
        emit(tx, f"site:{site_id}")


def not_heard() -> str:
    """In place of a report's digest: the next report is looked at whatever it says. Never the same twice."""
    return "-" + secrets.token_hex(16)[1:]

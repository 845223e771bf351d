"""`utcloud backup` and `utcloud restore`: all of a home, its database and its object store, in a folder elsewhere.

A backup's folder (``repository``) holds contents under their hash, and snapshots that name them. ``save`` makes a
snapshot of what runs, ``load`` makes a home of a snapshot. Both take their time in words through ``Progress``.
"""

from utcloud.cli.backup.load import check, restore
from utcloud.cli.backup.save import save

__all__ = ["check", "restore", "save"]

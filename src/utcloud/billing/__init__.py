"""Wallets, journal, metering, recharge and charge records. Knows intervals and rates, not notebooks."""

from utcloud.billing.outbox import models as _outbox_tables  # noqa: F401 - known wherever the room's tables are

"""Wallets, journal, metering, recharge and charge records. Knows intervals and rates, not notebooks."""

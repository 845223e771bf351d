"""The rules of wallets, recharges, charges and earnings: one face, several files."""

from utcloud.billing.service.charges import ChargeFilter, charges_out, list_charges
from utcloud.billing.service.earnings import earnings, earnings_of, platform
from utcloud.billing.service.recharges import RechargeFilter, create_recharge, list_recharges
from utcloud.billing.service.wallets import (
    get_wallet,
    lacks_wallets,
    list_caps,
    list_wallets,
    make_wallets,
    my_wallet,
    own_wallet,
    put_cap,
    update_wallet,
    wallet_of,
)

__all__ = [
    "ChargeFilter",
    "RechargeFilter",
    "charges_out",
    "create_recharge",
    "earnings",
    "earnings_of",
    "get_wallet",
    "lacks_wallets",
    "list_caps",
    "list_charges",
    "list_recharges",
    "list_wallets",
    "make_wallets",
    "my_wallet",
    "own_wallet",
    "platform",
    "put_cap",
    "update_wallet",
    "wallet_of",
]

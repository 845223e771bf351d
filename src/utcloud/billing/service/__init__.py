"""The rules of wallets, records, earnings, orders, prices and the journal: one face, several files."""

from utcloud.billing.service.charges import ChargeFilter, charges_out, list_charges
from utcloud.billing.service.credits import credit_order
from utcloud.billing.service.earnings import earnings, earnings_of, platform
from utcloud.billing.service.entries import list_entries, verification_out
from utcloud.billing.service.estimates import estimate
from utcloud.billing.service.held import decide_held, list_held
from utcloud.billing.service.orders import (
    OrderFilter,
    get_order,
    list_orders,
    rate,
    ratings,
)
from utcloud.billing.service.orders import list_entries as list_order_entries
from utcloud.billing.service.prices import list_prices
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
    "OrderFilter",
    "RechargeFilter",
    "charges_out",
    "create_recharge",
    "credit_order",
    "decide_held",
    "earnings",
    "earnings_of",
    "estimate",
    "get_order",
    "get_wallet",
    "lacks_wallets",
    "list_caps",
    "list_charges",
    "list_entries",
    "list_held",
    "list_order_entries",
    "list_orders",
    "list_prices",
    "list_recharges",
    "list_wallets",
    "make_wallets",
    "my_wallet",
    "own_wallet",
    "platform",
    "put_cap",
    "rate",
    "ratings",
    "update_wallet",
    "verification_out",
    "wallet_of",
]

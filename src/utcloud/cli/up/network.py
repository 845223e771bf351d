"""What Podman's network leaves in the firewall once its last container is gone, and taking it away."""

import re
import shutil
import subprocess

FAMILIES = (("iptables", "ip"), ("ip6tables", "ip6"))
NETWORK_CHAIN = re.compile(r"^:NETAVARK-(DN-)?[0-9A-F]{13}\b", re.MULTILINE)
OUR_CHAIN = re.compile(r"^:(NETAVARK\S*)", re.MULTILINE)
USE = re.compile(r"^-A ([A-Z]+ .*-j NETAVARK\S*)$", re.MULTILINE)


def tables() -> list[str]:
    """The names of all nftables tables, such as `ip nat`."""
    return [line.removeprefix("table ") for line in _output("nft", "list", "tables").splitlines()]


def forget(before: list[str]) -> None:
    """Remove Podman's chains, unless a container network still uses them, and tables that were not there `before`."""
    for program, family in FAMILIES:
        for table in ("filter", "nat"):
            if f"{family} {table}" in tables():
                _forget_chains(program, table)
                if f"{family} {table}" not in before:
                    _drop_if_empty(family, table)


def _forget_chains(program: str, table: str) -> None:
    rules = _output(f"{program}-save", "-t", table)
    if NETWORK_CHAIN.search(rules):  # somebody else's containers
        return
    chains = OUR_CHAIN.findall(rules)
    batch = [
        f"*{table}",
        *(f"-D {use}" for use in USE.findall(rules)),
        *(f"-F {chain}" for chain in chains),
        *(f"-X {chain}" for chain in chains),
        "COMMIT\n",
    ]
    if chains:
        _output(f"{program}-restore", "--noflush", given="\n".join(batch))


def _drop_if_empty(family: str, table: str) -> None:
    listing = _output("nft", "list", "table", family, table).splitlines()
    inside = [line.strip() for line in listing[1:-1]]
    if all(not line or line == "}" or line.startswith(("chain ", "type ")) for line in inside):
        _output("nft", "delete", "table", family, table)


def _output(*command: str, given: str | None = None) -> str:
    program = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return ""
    done = subprocess.run([program, *command[1:]], input=given, capture_output=True, text=True, check=False)
    return done.stdout

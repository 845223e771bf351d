"""`utcloud status`: what runs."""

import time

from utcloud.cli.up import access, chips, edge
from utcloud.cli.up.instance import Instance
from utcloud.cli.up.progress import say
from utcloud.common.settings import Settings


def status(settings: Settings) -> int:
    """Print what runs; return 0 when everything does, 3 when utcloud is down, 1 when only a part runs."""
    instance = Instance(settings).remembered()
    if not instance.supervisor.running():
        say(f"utcloud is not running (home {settings.home}).")
        return 3
    states = sorted(instance.supervisor.states(), key=lambda state: state.name)
    say(f"{'process':<16}{'state':<12}{'pid':<9}up for")
    for state in states:
        age = f"{time.time() - state.since:.0f} s" if state.pid else "-"
        say(f"{state.name:<16}{state.state.lower():<12}{state.pid or '-'!s:<9}{age}")
    simulated = chips.read(instance.settings.simulated_chips_file)
    if simulated:
        say(f"simulated chips: {', '.join(chip.host_device for chip in simulated)}")
    for line in edge.about(instance.settings):
        say(line)
    known = access.read(instance.access_file)
    if known:
        say(f"admin    {known.admin_url}\nconsole  {known.console_url}")
    user = instance.account.name
    say(f"user     {user} runs server, edge and metrics" + (": UTCLOUD_USER names none" if user == "root" else ""))
    say(f"home     {instance.home}\nlogs     {instance.supervisor.logs}")
    return 0 if all(state.state == "RUNNING" for state in states) else 1

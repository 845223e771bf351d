"""This machine's instance: up, down, status, server, agent."""

from typing import Annotated

import typer


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it runs, and leave it running.")] = False,
    simulate_chips: Annotated[
        str | None, typer.Option(help="Simulated chips, such as BM1684X:3. For trying things out.")
    ] = None,
) -> None:
    """Start utcloud on this machine and print where it is."""
    from utcloud.cli.processes import load_settings, refuse_unknown_settings
    from utcloud.cli.up import up as start

    refuse_unknown_settings()
    overrides = {"simulate_chips": simulate_chips} if simulate_chips is not None else {}
    raise typer.Exit(start(load_settings(**overrides), detach=detach))


def down() -> None:
    """Stop utcloud on this machine; data stays, nothing else does."""
    from utcloud.cli.processes import load_settings
    from utcloud.cli.up import down as stop

    raise typer.Exit(stop(load_settings()))


def status() -> None:
    """Say what runs on this machine."""
    from utcloud.cli.processes import load_settings
    from utcloud.cli.up import status as show

    raise typer.Exit(show(load_settings()))


def server() -> None:
    """Be the server, in the foreground, on a unix socket in UTCLOUD_HOME."""
    from utcloud.cli import processes

    processes.server()


def renew_secrets() -> None:
    """After the server's key was lost for good: make new secrets in the place of those that it sealed."""
    from utcloud.cli import processes
    from utcloud.cli.output import say

    renewed = processes.renew_secrets()
    for name, count in renewed.items():
        say(f"{name}: {count} new")
    say(
        "Stop and start notebooks to open them again; change the secrets of webhooks; reset second factors."
        if renewed
        else "All secrets can be read; nothing was changed."
    )


def agent(
    drain: Annotated[bool, typer.Option("--drain", help="Stop this site's containers instead, and end.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="With --drain: seconds to wait for them.")] = 50,
) -> None:
    """Be the site agent, in the foreground. Containers outlive it."""
    from utcloud.cli import processes

    if drain:
        return processes.drain(timeout)
    return processes.agent()


COMMANDS = [up, down, status, renew_secrets, server, agent]

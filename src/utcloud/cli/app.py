"""The command line's tree. Each noun's module is small; the client is imported only when a command runs."""

import sys
from typing import Annotated

import typer

from utcloud.cli.commands import (
    accounts,
    applications,
    assets,
    audit,
    backup,
    groups,
    images,
    instance,
    invitations,
    journal,
    nodes,
    notebooks,
    notices,
    orders,
    overview,
    pools,
    records,
    resources,
    second_factor,
    sites,
    specs,
    statements,
    storage,
    tokens,
    users,
    wallets,
    webhooks,
    work,
)  # fmt: skip
from utcloud.cli.errors import CliError

app = typer.Typer(
    name="utcloud",
    help="utcloud, an AI container cloud: for those who own AI chips and those who rent them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"utcloud {version('utcloud')}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in instance.COMMANDS + backup.COMMANDS + accounts.COMMANDS + [applications.register] + overview.COMMANDS:
    app.command()(command)
for name, noun in (
    ("notebook", notebooks.app),
    ("algorithm", assets.algorithms),
    ("dataset", assets.datasets),
    ("model", assets.models),
    ("image", images.app),
    ("storage", storage.app),
    ("wallet", wallets.app),
    ("recharge", records.recharges),
    ("charge", records.charges),
    ("order", orders.app),
    ("earnings", records.earnings),
    ("statement", statements.app),
    ("journal", journal.app),
    ("notice", notices.app),
    ("webhook", webhooks.app),
    ("node", nodes.app),
    ("resource", resources.app),
    ("spec", specs.app),
    ("pool", pools.app),
    ("site", sites.app),
    ("work", work.app),
    ("user", users.app),
    ("group", groups.app),
    ("invitation", invitations.app),
    ("application", applications.app),
    ("token", tokens.app),
    ("second-factor", second_factor.app),
    ("audit", audit.app),
):
    app.add_typer(noun, name=name)


def run(arguments: list[str]) -> int:
    """Run one command; return the process's exit status."""
    try:
        app(arguments, prog_name="utcloud", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except CliError as error:
        from utcloud.cli.output import note

        note(f"Error: {error.detail}" + (f"\n{error.cure}" if error.cure else ""))
        return error.status
    except BrokenPipeError:
        return 0
    return 0

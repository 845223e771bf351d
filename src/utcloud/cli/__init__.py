"""What people type. ``utcloud server`` and ``utcloud agent`` go past the command line's machinery, to stay small."""

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end the process.

    Exit status: 0 done, 1 refused or failed, 2 typed wrongly, 3 not logged in, 4 the server does not answer.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["server"], ["agent"]):
        from utcloud.cli.processes import agent, server

        return server() if arguments == ["server"] else agent()
    from utcloud.cli.app import run

    sys.exit(run(arguments))

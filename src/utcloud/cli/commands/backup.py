"""Backups of this machine's home, and a home made of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from utcloud.cli.common import AsJson
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, note, print_json, print_table, say

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="A file with the passphrase by which the backups are encrypted."),
]


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder for the backups: the same each time, best on another disk.")],
    keep: Annotated[int | None, typer.Option(min=1, help="Keep only so many, the newest; remove the others.")] = None,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Back up this machine's utcloud while it runs: database, files, volumes, keys and settings.

    The first backup reads everything, later ones into the same folder only what changed. What was interrupted goes on
    when it is run again. Exit status 1: there is no backup, or it lacks something that is named.
    """
    from utcloud.cli.backup import save
    from utcloud.cli.backup.progress import words

    done = save(_settings(), folder, passphrase=_passphrase(passphrase_file), keep=keep)
    if as_json:
        print_json(done)
    else:
        say(
            f"Backup {done['snapshot']} is in {done['folder']}: {done['files']} files and {done['volumes']} volumes, "
            f"{words(done['size'])}, of which {words(done['new'])} are new ({done['seconds']:.0f} s)."
        )
        if done["unsteady"]:
            say(f"These volumes were written to while they were read: {', '.join(done['unsteady'])}.")
        for problem in done["problems"]:
            note(f"Missing: {problem}.")
    if done["problems"]:
        raise typer.Exit(1)


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder that `utcloud backup` wrote to.")],
    snapshot: Annotated[str | None, typer.Option(help="Which backup, by --list; left out: the newest.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only list the backups.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the backup and compare all hashes.")] = False,
    aside: Annotated[
        bool, typer.Option("--aside", help="Move what the home holds into a folder of it, before-restore-….")
    ] = False,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Leave out, and name, what is damaged or missing in the backup.")
    ] = False,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Make an empty UTCLOUD_HOME what it was when the backup was made; `utcloud up` starts it then.

    A PostgreSQL database is restored into the empty one that UTCLOUD_DATABASE_URL names.
    """
    from utcloud.cli import backup as backups
    from utcloud.cli.backup.repository import Repository

    repository = Repository.open(folder, _passphrase(passphrase_file))
    if list_:
        return _list(repository, as_json)
    if check:
        found = backups.check(repository, snapshot)
        if as_json:
            print_json(found)
        else:
            say(f"Backup {found['snapshot']} is whole: all {found['files']} files have the right hashes.")
        return None
    done = backups.restore(_given_settings(), repository, snapshot, aside=aside, incomplete=incomplete)
    if as_json:
        print_json(done)
    else:
        _tell(done)
    if done["left_out"]:
        raise typer.Exit(1)
    return None


def _list(repository: Any, as_json: bool) -> None:
    from utcloud.cli.backup.progress import words
    from utcloud.cli.backup.repository import DamagedError

    rows: list[dict[str, Any]] = []
    for file in repository.snapshots():
        row: dict[str, Any] = {"snapshot": file.name}
        try:
            body = repository.snapshot(file)
        except DamagedError as error:
            row["damage"] = str(error)
        else:
            row |= {name: body[name] for name in ("made_at", "version", "home", "files", "size", "volumes", "problems")}
            row["database"] = (body["database"] or {}).get("kind")
        rows.append(row)
    if as_json:
        print_json({"items": rows})
        return
    columns = [
        Column("BACKUP", "snapshot"),
        Column("MADE", "made_at"),
        Column("VERSION", "version"),
        Column("DATABASE", "database"),
        Column("VOLUMES", "volumes", right=True),
        Column("FILES", "files", right=True),
        Column("SIZE", lambda row: words(row["size"]) if "size" in row else None, right=True),
        Column("TROUBLE", lambda row: row.get("damage") or len(row.get("problems", [])) or None),
    ]
    print_table(rows, columns)


def _tell(done: dict[str, Any]) -> None:
    from utcloud.cli.backup.progress import words

    say(
        f"{done['home']} is what it was at {done['snapshot']}: {done['files']} files and {done['volumes']} volumes, "
        f"{words(done['size'])} ({done['seconds']:.0f} s)."
    )
    if done["moved_to"]:
        say(f"What was there lies in {done['moved_to']}.")
    for one in done["left_out"]:
        note(f"Left out: {one}.")
    if done["settings"]:
        say(f"It was started with {', '.join(done['settings'])}: see {done['settings_file']}.")
    others = [one for one in done["images"] if not one.startswith("localhost/utcloud/")]
    if others:
        say(f"These images are not in a backup; the engine must have them: {', '.join(others)}.")
    say("Start it with those settings: utcloud up")


def _settings() -> Any:
    """The settings that the home was last started with."""
    from utcloud.cli.processes import load_settings, refuse_unknown_settings
    from utcloud.cli.up.instance import Instance

    refuse_unknown_settings()
    return Instance(load_settings()).remembered().settings


def _given_settings() -> Any:
    from utcloud.cli.processes import load_settings, refuse_unknown_settings

    refuse_unknown_settings()
    return load_settings()


def _passphrase(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        text = file.read_text().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not text:
        raise CliError(f"{file} is empty.", "Write the passphrase into it, on one line.")
    return text


COMMANDS: list[Callable[..., None]] = [backup, restore]

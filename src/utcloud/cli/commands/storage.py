"""What users keep in algorithms, datasets and models, and may keep."""

from utcloud.cli.common import AsCsv, AsJson, Cursor, Limit, Search, Sort, connect, listing, new_app, show
from utcloud.cli.output import Column, Json, size

app = new_app("What users keep in algorithms, datasets and models, and may keep.")


def _whose(storage: Json) -> str:
    own = [name for name in ("bytes", "files") if storage[f"own_{name}"] is not None]
    return f"{' and '.join(own)} set by an operator" if own else "as everybody"


COLUMNS = [
    Column("USERNAME", "username"),
    Column("USED", lambda one: size(one["used_bytes"]), right=True),
    Column("AT MOST", lambda one: size(one["max_bytes"]), right=True),
    Column("NOT PUBLISHED", lambda one: size(one["uploading_bytes"]), right=True),
    Column("FILES", "used_files", right=True),
    Column("AT MOST", "max_files", right=True),
    Column("QUOTA", _whose),
]


@app.command("show")
def show_(as_json: AsJson = False) -> None:
    """Show what you keep yourself, and may keep. Another's: `utcloud user storage`."""
    show(connect().get("storage/mine"), COLUMNS, as_json)


@app.command("list")
def list_(
    search: Search = None,
    sort: Sort = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List what users keep, who keeps most first. For operators; others see themselves."""
    listing("storage", COLUMNS, as_json, limit, cursor, as_csv=csv, search=search, sort=sort)

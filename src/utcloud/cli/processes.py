"""``server`` and ``agent``: what supervisord keeps running. Nothing else is imported for them."""

import sys

from pydantic import ValidationError

from utcloud.common.settings import Settings


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment; ends the process with 2 and says which one is wrong."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        for item in error.errors():
            name = "UTCLOUD_" + "_".join(str(part) for part in item["loc"][:1]).upper()
            sys.stderr.write(f"{name}={item['input']!r}: {item['msg']}.\n")
        sys.stderr.write("docs/reference/settings.md says what each setting may be.\n")
        sys.exit(2)


def server() -> None:
    """Be the server."""
    from utcloud import server as room

    room.run(load_settings())


def agent() -> None:
    """Be the site agent."""
    from utcloud import site as room

    room.run(load_settings())


def drain(timeout_s: float) -> None:
    """Stop this site's containers and tell the server of their end."""
    from utcloud import site as room

    room.drain(load_settings(), timeout_s)

"""Puts the app together: lifespan, authentication, errors, routers, background loops."""

import gc

from utcloud.common.settings import Settings

_KEEP_ALIVE_S = 75
"""Longer than agents pause between reports: none connects anew for each."""


def run(settings: Settings) -> None:
    """Serve on the unix socket ``settings.server_socket`` until SIGTERM. The edge stands before it."""
    import uvicorn

    from utcloud.server.app import create_app
    from utcloud.server.heads import BoundedHeads
    from utcloud.server.logs import configure

    configure(settings.log_level)
    gc.set_threshold(50_000, 20, 20)  # a page over a thousand nodes makes so many objects, and none that needs this
    settings.serve_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.server_socket.unlink(missing_ok=True)
    uvicorn.run(
        create_app(settings),
        uds=str(settings.server_socket),
        loop="uvloop",
        http=BoundedHeads,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
    )

"""The site agent: the program beside the hardware. It makes the engine match what the server wants, and says what it
saw. It imports nothing of utcloud but ``protocol`` and ``common``."""

from utcloud.common.settings import Settings


def run(settings: Settings) -> None:
    """Be the agent of this site until SIGTERM or SIGINT. Containers outlive it."""
    from utcloud.site.agent import main

    main(settings)


def drain(settings: Settings, timeout_s: float) -> None:
    """Stop and remove all containers and networks of this site, after telling the server of their end if it answers.

    Stop the agent first. Ends that the server did not hear of are kept on disk and reported by the next agent.
    """
    from utcloud.site.drain import main

    main(settings, timeout_s)

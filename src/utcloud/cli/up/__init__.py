"""`utcloud up`, `down` and `status`: the processes of one machine.

`up(settings, detach=…)`, `down(settings)` and `status(settings)` print for a person and return the exit status.
"""

from utcloud.cli.up.show import status
from utcloud.cli.up.start import up
from utcloud.cli.up.stop import down

__all__ = ["down", "status", "up"]

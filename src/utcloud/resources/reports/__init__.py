"""What an agent says of its nodes goes into the tables. Nothing that it says can harm another site.

What makes no sense (duplicates, impossible numbers, a chip that already stands elsewhere) is left out and named in the
node's flags; the rest of the report holds. Reports that say what the last ones said share a few statements.
"""

from utcloud.resources.reports.incoming import Incoming, parse
from utcloud.resources.reports.intake import Heard, apply, note_alive, unchanged

__all__ = ["Heard", "Incoming", "apply", "note_alive", "parse", "unchanged"]

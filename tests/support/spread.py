"""Which tests run in the same worker: those of a file, and all journeys, which share one stack.

pytest-xdist's own ``loadgroup`` does not do: 3.8 names groups in a place where pytest 9.2 no longer looks.
"""

from pathlib import PurePosixPath

from xdist.scheduler.loadscope import LoadScopeScheduling


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A file at a time to each worker, the longest first; the journeys to one."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.partition("::")[0])
        return "journeys" if "e2e" in path.parts else str(path)

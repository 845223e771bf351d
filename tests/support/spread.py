"""Which tests run in the same worker: those of a file, and all that start containers.

The firewall's table is one for the machine, and so is the stack of the whole-journey tests: they run one after another.
pytest-xdist's own ``loadgroup`` does not do: 3.8 names groups in a place where pytest 9.2 no longer looks.
"""

from pathlib import PurePosixPath

from xdist.scheduler.loadscope import LoadScopeScheduling


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A file at a time to each worker, the longest first; containers to one."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.partition("::")[0])
        return "containers" if "e2e" in path.parts or path.stem.endswith("_containers") else str(path)

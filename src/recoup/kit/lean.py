"""Keeps heavy libraries out of processes that have no use for them.

pyarrow imports pandas at the first list it turns into an array, only to ask whether the list is a pandas object. Where
pandas is installed (chDB brings it along) that is a second of start-up and 45 MB in every process.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from typing_extensions import override


class _Absent(MetaPathFinder):
    """Says of some modules that they are not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        _ = path, target
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is kept out of this process", name=fullname)
        return None


def without(*names: str) -> None:
    """From now on, importing any of `names` in this process fails as if it were not installed."""
    sys.meta_path.insert(0, _Absent(frozenset(names)))

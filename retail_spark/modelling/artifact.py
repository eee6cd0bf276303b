"""The files of a model: numpy and JSON, saved once and read by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory


class ModelFiles(Mapping[str, Path]):
    """Name -> file of a model that `save` writes into a folder, which lives as long as this mapping."""

    def __init__(self, save: Callable[[Path], Mapping[str, Path]]) -> None:
        self._folder = TemporaryDirectory(prefix="retail-spark-model-")
        self._files = save(Path(self._folder.name))

    def __getitem__(self, name: str) -> Path:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

"""How recorded samples lie on disk: plain ``.npy`` files, a folder a unit, read one sample at a time.

    0007/unet/sample.npy        the unit's samples of one input, stacked along a first axis
    0007/unet/timestep.npy

A unit is what is recorded in one go. It is written beside its place and renamed: it is whole, or not there.
"""

from __future__ import annotations

import bisect
import io
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd.build_folder import remove
from qnn_sd.runner import Feeds


def write_unit(folder: Path, unit: str, samples: Mapping[str, Sequence[Feeds]]) -> None:
    """Writes the samples of a unit.

    Args:
        folder: an existing one.
        unit: the name of the unit's folder; one that is there already is an error.
        samples: by component, at least one each; feeds by input name, the same inputs with the same shapes in each.

    Raises:
        OSError: it can't be written. Nothing is left behind then.
    """
    partial = folder / f".{unit}.part"
    try:
        for component, feeds in samples.items():
            (partial / component).mkdir(parents=True)
            for name in feeds[0]:
                _save(partial / component / f"{name}.npy", np.stack([each[name] for each in feeds]))
        partial.rename(folder / unit)
    finally:
        if partial.exists():
            remove(partial)


def _save(path: Path, array: NDArray[Any]) -> None:
    # By way of a buffer: numpy's own writing to a file doesn't say that a disk is full, only that bytes are missing.
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    with path.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        # The rename that follows must not reach the disk before the bytes do.
        os.fsync(file.fileno())


class Samples:
    """The recorded feeds of a component, read from disk when they are asked for.

    Args:
        folder: holds the units.
        component: whose feeds.
        wanted: whether the samples of a unit, by its name, belong to these.
    """

    def __init__(self, folder: Path, component: str, wanted: Callable[[str], bool] = lambda _unit: True) -> None:
        self._units = sorted(
            unit / component for unit in folder.iterdir() if (unit / component).is_dir() and wanted(unit.name)
        )
        counts = (len(_mapped(next(unit.iterdir()))) for unit in self._units)
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        """One sample: an array of the input's own shape by input name.

        Raises:
            IndexError: there are fewer.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        unit = bisect.bisect_right(self._ends, index)
        row = index - (self._ends[unit - 1] if unit else 0)
        return {path.stem: np.array(_mapped(path)[row]) for path in sorted(self._units[unit].iterdir())}

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        return (self[index] for index in range(len(self)))


def evenly_spaced(samples: Samples, count: int) -> list[Feeds]:
    """Some of many samples, in memory: at most ``count``, evenly from the first to the last."""
    count = min(count, len(samples))
    # From the middle of each of so many equal stretches.
    return [samples[(2 * place + 1) * len(samples) // (2 * count)] for place in range(count)]


def _mapped(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))

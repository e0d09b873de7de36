"""Runs the QDQ graph, as far as it is rounded, and the float graph side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnn_sd.quantize.adaround.segments import FloatSegments, QdqSegments
from qnn_sd.quantize.encodings import Integers
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.runner import Feeds

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Activation:
    """An activation by both of its names.

    Attributes:
        qdq: in the QDQ graph, output of its DequantizeLinear.
        exact: in the float graph.
    """

    qdq: str
    exact: str


class PairedRun:
    """Runs both graphs up to one activation after the other.

    Args:
        graph: the float graph.
        folder: of its QDQ graph.
        samples: feeds by input name.
        rounded: integers to take for weights, by the name of their initializer, instead of the folder's; may grow
            between two calls.
        work: an empty folder for what lies between pieces.
    """

    def __init__(
        self,
        graph: FloatGraph,
        folder: Path,
        samples: Sequence[Feeds],
        rounded: Mapping[str, Integers],
        work: Path,
    ) -> None:
        self._folders = qdq_work, float_work = work / "qdq", work / "float"
        for each in self._folders:
            each.mkdir()
        self._qdq = QdqSegments(folder, samples, rounded, qdq_work)
        self._float = FloatSegments(graph, samples, float_work)
        self._skipped: list[Activation] = []

    def skip(self, activation: Activation) -> None:
        """Leaves out an activation whose layers are rounded already, so that its values aren't needed.

        A piece that ends elsewhere may be computed otherwise in the last bits. So before the next values are
        asked for, what was skipped is run in the pieces that it would have had; if none are, it costs nothing.
        """
        self._skipped.append(activation)

    def values(self, activation: Activation) -> Iterator[tuple[Floats, Floats]]:
        """The activation as quantized and as it would be in float, for each sample in turn."""
        for reached in (*self._skipped, activation):
            self._qdq.reach(reached.qdq)
            self._float.reach(reached.exact)
        self._skipped.clear()
        return zip(self._qdq.values(activation.qdq), self._float.values(activation.exact), strict=True)

    def close(self) -> None:
        """Removes what lies on disk."""
        self._qdq.close()
        self._float.close()
        for folder in self._folders:
            folder.rmdir()

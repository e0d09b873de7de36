"""Chooses which keys and values of attention get 8 bits: as many as held-out data allows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qnn_sd.interruption import run_session
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.quantize.encodings import Encodings, Integers
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

# What int8 may cost of the SQNR against float on held-out data, in dB.
MAX_LOSS_DB = 0.5


@dataclass(frozen=True)
class OperandChoice:
    """What was chosen.

    Attributes:
        encodings: with the chosen operands.
        metadata: for the manifest.
    """

    encodings: Encodings
    metadata: dict[str, Any]


def select_int8_operands(
    graph: FloatGraph,
    every: Encodings,
    rounded: Mapping[str, Integers],
    held_out: Sequence[Feeds],
    work: Path,
    on_run: Callable[[int], None] = lambda _all: None,
) -> OperandChoice:
    """Gives operands of many keys 8 bits, as many as held-out data allows.

    All of them first. Where any output of the graph loses too much, those that int8 suits least keep 16 bits, as few as
    a bisection finds.

    Args:
        graph: the float graph.
        every: encodings with all of them in int8 (``with_int8_operands``).
        rounded: the weights' integers.
        held_out: feeds that nothing was fitted to.
        work: existing folder, for the graphs that are compared.
        on_run: called after each run of a graph with how many there are, if int8 suits all.
    """
    if not every.operands:
        return OperandChoice(every, {})
    trial = _Trial(graph, every, rounded, held_out, work, on_run)
    chosen, loss = _largest_choice(
        list(every.operands), lambda: _by_suitability(graph, held_out[0], every), trial.loss_db
    )
    metadata = {"int8_operands": len(chosen), "int16_operands": len(every.operands) - len(chosen), "loss_db": loss}
    return OperandChoice(trial.with_operands(chosen), metadata)


class _Trial:
    """Measures on held-out data what int8 operands cost; arguments as of ``select_int8_operands``."""

    def __init__(
        self,
        graph: FloatGraph,
        every: Encodings,
        rounded: Mapping[str, Integers],
        held_out: Sequence[Feeds],
        work: Path,
        on_run: Callable[[int], None],
    ) -> None:
        self._graph, self._every, self._rounded = graph, every, rounded
        self._held_out, self._work, self._on_run = held_out, work, on_run
        self._expected = self._outputs(graph.folder)
        self._db_of_int16 = self._db_by_output(())

    def with_operands(self, names: Iterable[str]) -> Encodings:
        """The encodings with int8 for these operands alone."""
        return replace(self._every, operands={name: self._every.operands[name] for name in names})

    def loss_db(self, names: Sequence[str]) -> float:
        """What int8 for these operands costs, in dB SQNR against float, of the output that loses most; NaN is NaN."""
        losses = [int16 - int8 for int16, int8 in zip(self._db_of_int16, self._db_by_output(names), strict=True)]
        return float(np.max(losses))

    def _db_by_output(self, names: Iterable[str]) -> list[float]:
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            QdqWriter(self._graph, self.with_operands(names), Path(folder), self._rounded).write()
            found = self._outputs(Path(folder))
        return [sqnr_db(exact, output) for exact, output in zip(self._expected, found, strict=True)]

    def _outputs(self, folder: Path) -> list[NDArray[Any]]:
        """Each output of a graph, all samples along a new first axis."""
        session = reference_session(folder / MODEL_FILE)
        by_sample = []
        for feeds in self._held_out:
            by_sample.append(run_session(session, None, feeds))
            self._on_run(3 * len(self._held_out))  # of the float graph, with 16 bits, with 8
        return [np.array(output) for output in zip(*by_sample, strict=True)]


def _largest_choice(
    names: Sequence[str], ranked: Callable[[], Sequence[str]], loss_db: Callable[[Sequence[str]], float]
) -> tuple[Sequence[str], float]:
    """The most operands in 8 bits that lose little enough, and what they lose."""
    loss = loss_db(names)
    if loss <= MAX_LOSS_DB:  # NaN isn't
        return names, loss
    best = ranked()
    enough, too_many = 0, len(names)
    loss = 0.0
    while too_many - enough > 1:
        count = (enough + too_many) // 2
        found = loss_db(best[:count])
        if found <= MAX_LOSS_DB:
            enough, loss = count, found
        else:
            too_many = count
    return best[:enough], loss


def _by_suitability(graph: FloatGraph, feeds: Feeds, chosen: Encodings) -> list[str]:
    """The operands, those first that int8 changes least, on one sample of the float graph."""
    names = list(chosen.operands)
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    values = reference_session(model, folder=graph.folder).run(names, dict(feeds))
    sqnr = {}
    for name, value in zip(names, values, strict=True):
        encoding = chosen.operands[name]
        sqnr[name] = sqnr_db(value, encoding.quantize(value) * np.float32(encoding.scale))
    return sorted(names, key=lambda name: -sqnr[name])

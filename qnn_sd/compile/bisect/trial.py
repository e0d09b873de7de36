"""One trial of a bisection: a graph is compiled, run on the emulator, and held against the CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.optimization_level import no_op
from qnn_sd.compile.process import Job, run
from qnn_sd.compile.verifier import Binary, Verifier
from qnn_sd.errors import CompileError, TargetError
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import read_array
from qnn_sd.resources import usable_cores
from qnn_sd.runner import Feeds, Outputs

Fault = Literal["parts", "refused", "crashed"]


@dataclass(frozen=True)
class Target:
    """What is compiled for.

    Attributes:
        soc: its name.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        optimization_mode: ``htp_graph_finalization_optimization_mode``, 1 to 3.
    """

    soc: str
    soc_model: int
    htp_arch: int
    optimization_mode: int


@dataclass(frozen=True)
class Ran:
    """How a trial went.

    Attributes:
        expected: outputs on the CPU, for each sample.
        found: outputs on the emulator, for each sample.
        fault: whether the compiler refused the graph or crashed; None where it compiled.
        why: what was printed then.
    """

    expected: Sequence[Outputs] = ()
    found: Sequence[Outputs] = ()
    fault: Fault | None = None
    why: str = ""


# Compiles the QDQ graph of a folder and runs it on samples.
Trial = Callable[[Path, Sequence[Feeds]], Ran]


@dataclass(frozen=True)
class OutputError:
    """How far one output of a trial is off.

    Attributes:
        name: of the output.
        sqnr_db: emulator against CPU.
        error: root of the mean square of the difference; NaN where either is not finite.
        signal: root of the mean square of the CPU's output.
        step: of the output's quantization, 0 where it isn't quantized per tensor.
    """

    name: str
    sqnr_db: float
    error: float
    signal: float
    step: float

    def margin_db(self, least_db: float) -> float:
        """By how much the error stays below what is allowed; negative: the output parts.

        A step is always allowed: a rounding that goes the other way is no fault, and in 8 bits a step is much.

        Args:
            least_db: SQNR that is asked for.
        """
        if not np.isfinite(self.error):
            return -np.inf
        allowed = max(self.step, self.signal * 10 ** (-least_db / 20))
        return float(20 * np.log10(max(allowed, 1e-30) / max(self.error, 1e-30)))


def output_errors(graph: QdqGraph, expected: Outputs, found: Outputs) -> list[OutputError]:
    """How far each output is off, in the graph's order."""
    return [
        OutputError(
            name,
            sqnr_db(reference, found[name]),
            _rms(np.asarray(found[name], np.float64) - np.asarray(reference, np.float64)),
            _rms(reference),
            _step(graph, name),
        )
        for name, reference in expected.items()
    ]


def _rms(values: NDArray[np.generic]) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def _step(graph: QdqGraph, name: str) -> float:
    maker = graph.maker.get(name)
    if maker is None or maker.op_type != "DequantizeLinear" or maker.input[1] not in graph.constants:
        return 0.0
    scale = read_array(graph.constants[maker.input[1]], graph.folder)
    return float(scale.reshape(-1)[0]) if scale.size == 1 else 0.0


def compile_and_run(target: Target) -> Trial:
    """Trials as the build does it: compiler and emulator in child processes of their own.

    Args:
        target: what to compile for.
    """
    verifier = Verifier(usable_cores()[:1])

    def trial(graph: Path, samples: Sequence[Feeds]) -> Ran:
        with tempfile.TemporaryDirectory(prefix="qnn-sd-bisect-") as compiled:
            out = Path(compiled)
            job = Job(graph, out, target.soc_model, target.htp_arch, target.optimization_mode)
            try:
                outcome = run(job, no_op)
            except CompileError as error:
                return Ran(fault="refused", why=error.why or error.what)
            if outcome.crash_reason == "SIGKILL":
                raise CompileError(
                    f"The QNN compiler was killed on {graph}",
                    why="Something outside killed it, as when memory runs out.",
                    hint="Free memory: a full-size UNet needs 8 GB.",
                )
            if outcome.crash_reason:
                return Ran(fault="crashed", why=f"{outcome.crash_reason}. {outcome.last}")
            binary = Binary(graph, out, target.soc_model, target.htp_arch)
            try:
                return Ran(*verifier.outputs(binary, samples))
            except TargetError as error:
                return Ran(fault="crashed", why=f"On the emulator: {error.why}")

    return trial

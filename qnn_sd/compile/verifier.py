"""Verifies several binaries at once, each in a child process on a core of its own.

The emulator computes in one thread, and another waits for it in a busy loop: unpinned it takes two cores and is no
faster. A component of Stable Diffusion 1.5 takes it many minutes, so those that there are run side by side.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.compile.process import Children, last_lines
from qnn_sd.compile.sample_files import read_answers, write_samples
from qnn_sd.errors import TargetError
from qnn_sd.runner import Feeds, Outputs
from qnn_sd.verification import (
    BINARY_AGAINST_QDQ,
    QDQ_AGAINST_FLOAT,
    SqnrSummary,
    VerificationInput,
    require_finite,
    sqnr_summary,
)


@dataclass(frozen=True)
class Binary:
    """What is verified.

    Attributes:
        qdq: folder of the QDQ model.
        compiled: folder of its context binary.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
    """

    qdq: Path
    compiled: Path
    soc_model: int
    htp_arch: int


class Verifier:
    """Runs binaries on the emulator, each on a core of its own.

    Args:
        cores: those to use.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores: queue.SimpleQueue[int] = queue.SimpleQueue()
        for core in cores:
            self._cores.put(core)
        self._children = Children()

    def close(self) -> None:
        """Ends what runs; nothing more can be measured."""
        self._children.close()

    def sqnr(self, component: str, binary: Binary, inputs: Sequence[VerificationInput]) -> SqnrSummary:
        """How near a context binary on the emulator is to the CPU's run of its QDQ graph.

        Args:
            component: for the messages.
            binary: what to run.
            inputs: what to feed it.

        Raises:
            TargetError: it can't be loaded or run, or ``close`` was called.
            VerificationError: NaN or infinity in an output.
        """
        [of_all] = self.sqnr_of_groups(component, binary, inputs, [range(len(inputs))])
        return of_all

    def sqnr_of_groups(
        self, component: str, binary: Binary, inputs: Sequence[VerificationInput], groups: Sequence[Sequence[int]]
    ) -> list[SqnrSummary]:
        """The same of several groups of the inputs.

        Blocks until there is a core and it is done; to be called from a thread for each binary.

        Args:
            component: for the messages.
            binary: what to run.
            inputs: what to feed it, each once.
            groups: numbers of the inputs that are looked at together; one may be of several groups.

        Returns:
            The figures of each group.

        Raises:
            TargetError: it can't be loaded or run, or ``close`` was called.
            VerificationError: NaN or infinity in an output.
        """
        expected, found = self.outputs(binary, [one.feeds for one in inputs])
        require_finite(component, inputs, expected, "the QDQ graph", QDQ_AGAINST_FLOAT.hint)
        require_finite(component, inputs, found, "the context binary", BINARY_AGAINST_QDQ.hint)
        return [
            sqnr_summary([inputs[n] for n in group], [expected[n] for n in group], [found[n] for n in group])
            for group in groups
        ]

    def outputs(self, binary: Binary, samples: Sequence[Feeds]) -> tuple[list[Outputs], list[Outputs]]:
        """The outputs of a QDQ graph on the CPU, and of its context binary on the emulator, for each sample.

        Raises:
            TargetError: the binary can't be loaded or run, or ``close`` was called.
        """
        core = self._cores.get()
        try:
            with tempfile.TemporaryDirectory() as scratch:
                return self._run(binary, samples, core, Path(scratch))
        finally:
            self._cores.put(core)

    def _run(
        self, binary: Binary, samples: Sequence[Feeds], core: int, scratch: Path
    ) -> tuple[list[Outputs], list[Outputs]]:
        answer = scratch / "answer.npz"
        request = {
            "qdq": str(binary.qdq),
            "compiled": str(binary.compiled),
            "soc_model": binary.soc_model,
            "htp_arch": binary.htp_arch,
            "samples": write_samples(scratch, samples),
            "answer": str(answer),
            "core": core,
        }
        child = self._children.start("qnn_sd.compile.verifier_child", request)
        printed, _ = child.communicate()
        self._children.ended(child)
        if child.returncode != 0:
            raise TargetError(
                f"The emulator failed on {binary.compiled}",
                why=last_lines(printed.splitlines()) or f"It ended with status {child.returncode}.",
                hint="Is there enough memory? A full-size UNet needs 8 GB. Else run qnn-sd doctor.",
            )
        return read_answers(answer)

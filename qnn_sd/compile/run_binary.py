"""Runs what was compiled on the HTP emulator beside its QDQ graph: a binary is not right because it compiled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qnn_sd import qnn_provider
from qnn_sd.compile.dlc import DLC_FILE
from qnn_sd.compile.dlc_runtime import run_dlc
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import check_reference, outputs_of, reference_session
from qnn_sd.runner import Feeds, Outputs


def run_both(
    qdq: Path, compiled: Path, soc_model: int, htp_arch: int, samples: Sequence[Feeds]
) -> tuple[list[Outputs], list[Outputs]]:
    """The outputs of a QDQ graph on the CPU, and of its context binary or DLC on the emulator, for each sample.

    Args:
        qdq: folder of the QDQ model.
        compiled: folder of the context binary, or of the DLC.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        samples: real inputs, by name.

    Raises:
        TargetError: the QNN plugin can't be loaded, or a DLC can't be run.
        VerificationError: this ONNX Runtime's runs are no reference.
    """
    expected = qdq_outputs(qdq, samples)
    if (dlc := compiled / DLC_FILE).is_file():
        return expected, run_dlc(dlc, soc_model, samples)
    htp = qnn_provider.session(compiled / CONTEXT_FILE, qnn_provider.htp_options(soc_model, htp_arch))
    return expected, [outputs_of(htp, feeds) for feeds in samples]


def qdq_outputs(qdq: Path, samples: Sequence[Feeds]) -> list[Outputs]:
    """What a QDQ graph computes on the CPU, from each sample.

    Raises:
        VerificationError: this ONNX Runtime's runs are no reference.
    """
    check_reference()
    # By itself the runtime would take every core, also those that this process is kept from. The session, a large
    # graph's weights as floats, ends with this function: not to be held beside the emulator's.
    cpu = reference_session(qdq / MODEL_FILE, threads=len(os.sched_getaffinity(0)))
    return [outputs_of(cpu, feeds) for feeds in samples]

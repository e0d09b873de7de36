"""Proves a context binary on the HTP emulator: a binary is not right because it compiled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qnn_sd import qnn
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.errors import VerificationError
from qnn_sd.metrics import FAITHFUL_DB, sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds


def sqnr_against_qdq(qdq: Path, compiled: Path, soc_model: int, htp_arch: int, samples: Sequence[Feeds]) -> float:
    """SQNR in dB of the context binary on the emulator against the CPU's run of its QDQ graph.

    Power and noise are summed over the samples: a picture that is nearly gray, whose own power is
    near zero, then weighs no more than what of it can be seen.

    Args:
        qdq: folder of the QDQ model.
        compiled: folder of the context binary.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        samples: real inputs, by name.

    Raises:
        TargetError: the QNN plugin can't be loaded.
    """
    # By itself the runtime would take every core, also those that this process is kept from.
    cpu = reference_session(qdq / MODEL_FILE, threads=len(os.sched_getaffinity(0)))
    expected = np.stack([cpu.run(None, dict(feeds))[0] for feeds in samples])
    # A large graph's weights, as floats: not to be held beside the emulator's.
    del cpu
    htp = qnn.session(compiled / CONTEXT_FILE, qnn.htp_options(soc_model, htp_arch))
    return sqnr_db(expected, np.stack([htp.run(None, dict(feeds))[0] for feeds in samples]))


def refuse_unfaithful(component: str, found: float) -> None:
    """Refuses a context binary that doesn't compute its QDQ graph.

    Args:
        component: for the message.
        found: what ``sqnr_against_qdq`` measured, dB.

    Raises:
        VerificationError: less than ``FAITHFUL_DB``.
    """
    if found < FAITHFUL_DB:
        raise VerificationError(
            f"The context binary of {component} computes something else than its QDQ graph",
            why=f"On the HTP emulator it reaches {found:.1f} dB SQNR, where {FAITHFUL_DB:.0f} dB is the least.",
            hint="The HTP compiler got a form of this graph wrong: see docs/decisions.md for the known ones.",
        )

"""Compares a QDQ graph with the float model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.reference import check_reference, outputs_of, reference_session
from qnn_sd.runner import Outputs
from qnn_sd.verification import SqnrSummary, VerificationInput, require_finite, sqnr_summary


def sqnr_against_float(
    component: str,
    source: Path,
    qdq: Path,
    inputs: Sequence[VerificationInput],
    groups: Sequence[Sequence[int]],
    on_run: Callable[[], None] = lambda: None,
) -> list[SqnrSummary]:
    """How near a QDQ graph is to its float graph, both on the CPU, computed as ONNX defines them.

    Args:
        component: for the messages.
        source: folder of the float model.
        qdq: folder of the QDQ model.
        inputs: what both graphs are fed, each once.
        groups: numbers of the inputs that are looked at together; one may be of several groups.
        on_run: called after each run of either graph.

    Returns:
        The figures of each group.

    Raises:
        VerificationError: NaN or infinity in an output, or this ONNX Runtime's runs are no reference.
    """
    check_reference()
    exact = _run(source, inputs, on_run)
    require_finite(component, inputs, exact, "the float model", "Is the checkpoint sound? Get it again.")
    found = _run(qdq, inputs, on_run)
    require_finite(
        component, inputs, found, "the QDQ graph", "Are the encodings finite? Calibrate with --prompts FILE."
    )
    return [
        sqnr_summary([inputs[n] for n in group], [exact[n] for n in group], [found[n] for n in group])
        for group in groups
    ]


def _run(folder: Path, inputs: Sequence[VerificationInput], on_run: Callable[[], None]) -> list[Outputs]:
    # One session at a time: each holds a large model's weights as floats.
    session = reference_session(folder / MODEL_FILE)
    outputs = []
    for one in inputs:
        outputs.append(outputs_of(session, one.feeds))
        on_run()
    return outputs

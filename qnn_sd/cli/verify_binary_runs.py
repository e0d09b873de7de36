"""What ``qnn-sd verify FILE|FOLDER`` runs of a binary, and what of that is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qnn_sd import resources
from qnn_sd.binaries.against import ReferenceGraph, run_reference
from qnn_sd.binaries.binary_info import BinaryGraph
from qnn_sd.binaries.found import FoundBinary
from qnn_sd.binaries.network import network_of
from qnn_sd.binaries.raw_node import to_integers, to_values
from qnn_sd.binaries.run import random_values, run_graph
from qnn_sd.cli.documents.verify_binary import VerifiedGraph
from qnn_sd.cli.kept_inputs import KeptInputs
from qnn_sd.compile import Verifier
from qnn_sd.config import takes_int16_operands
from qnn_sd.errors import VerificationError
from qnn_sd.quantize import sqnr_against_float
from qnn_sd.verification import (
    BINARY_AGAINST_QDQ,
    QDQ_AGAINST_FLOAT,
    VerificationInput,
    binary_gate,
    require_finite,
    require_gate,
    sqnr_summary,
)

# The third input is the first one again.
_SEEDS = (1, 2, 1)
# Random values lie elsewhere in the ranges than a prompt's: the demo's binaries come to 53.6 dB with them where they
# come to 61.5 with a prompt's. Those for v68, v69 and v85, whose keys and values have 8 bits, come to 32.6 where they
# come to 39.0. Wrongly compiled ones stay below 20.
_LEAST_DB_OF_RANDOM, _LEAST_DB_OF_RANDOM_WITH_INT8 = 35.0, 28.0


def verify_with_kept(binary: FoundBinary, graph: BinaryGraph, component: str, kept: KeptInputs) -> VerifiedGraph:
    """Runs a binary of a build with the inputs that the build kept, against its QDQ graph, and that against float.

    Raises:
        TargetError: the emulator can't load or run it.
        VerificationError: NaN or infinity in an output.
    """
    verifier = Verifier(resources.usable_cores())
    sqnr = verifier.sqnr(component, kept.binary, kept.inputs)
    floats = None
    if kept.floats is not None:
        every = [list(range(len(kept.inputs)))]
        [floats] = sqnr_against_float(component, kept.floats, kept.binary.qdq, kept.inputs, every)
    return VerifiedGraph(
        binary=binary.label,
        graph=graph.name,
        network=network_of(graph),
        inputs="kept",
        calls=len(kept.inputs),
        finite=True,
        repeats=None,
        responds=None,
        constant_outputs=[],
        reference="QDQ graph",
        sqnr=sqnr,
        qdq_against_float=floats,
    )


def verify_with_random(binary: FoundBinary, graph: BinaryGraph, reference: ReferenceGraph | None) -> VerifiedGraph:
    """Runs a graph with two random inputs, the first one twice, and the reference with both.

    Raises:
        BinaryError: the reference is another graph's.
        TargetError: the emulator can't load or run it.
        VerificationError: NaN or infinity in an output of the reference.
    """
    drawn = [random_values(graph, network_of(graph), seed) for seed in _SEEDS]
    fed = [{each.name: to_integers(each, values[each.name]) for each in graph.inputs} for values in drawn]
    answers = run_graph(binary, graph, fed)
    values = [{each.name: to_values(each, answer[each.name]) for each in graph.outputs} for answer in answers]
    first, other, again = answers
    names = list(first)
    inputs = [VerificationInput(f"random input {seed}", feeds) for seed, feeds in zip(_SEEDS, fed, strict=True)][:2]
    is_finite = all(bool(np.isfinite(array).all()) for each in values for array in each.values())
    sqnr = None
    if reference is not None and is_finite:
        exact = [{each.name: to_values(each, one[each.name]) for each in graph.inputs} for one in fed[:2]]
        expected = run_reference(reference, graph, exact)
        require_finite(binary.label, inputs, expected, f"the {reference.kind}", QDQ_AGAINST_FLOAT.hint)
        sqnr = sqnr_summary(inputs, expected, values[:2])
    return VerifiedGraph(
        binary=binary.label,
        graph=graph.name,
        network=network_of(graph),
        inputs="random",
        calls=len(fed),
        finite=is_finite,
        repeats=all(first[name].tobytes() == again[name].tobytes() for name in names),
        responds=any(first[name].tobytes() != other[name].tobytes() for name in names),
        constant_outputs=[name for name in names if first[name].size > 1 and np.ptp(values[0][name]) == 0],
        reference=reference.kind if reference else None,
        sqnr=sqnr,
        qdq_against_float=None,
    )


def require_verified(binary: FoundBinary, seen: VerifiedGraph) -> None:
    """Refuses what no sound binary does.

    Raises:
        VerificationError: NaN or infinity, other bits for the same input, or too far from its reference.
    """
    if not seen.finite:
        raise VerificationError(
            f"{binary.label} answers with NaN or infinity", why="To a random input.", hint=BINARY_AGAINST_QDQ.hint
        )
    if seen.repeats is False:
        raise VerificationError(
            f"{binary.label} doesn't repeat itself",
            why="The same input gave other bits the second time.",
            hint="Get or compile it again; qnn-sd doctor tells whether your versions were tried.",
        )
    if seen.sqnr is not None and binary.info is not None:
        # A binary against a float graph has both errors, and is held to the wider gate.
        of_qdq = seen.reference == "QDQ graph"
        gate = binary_gate(binary.info.htp_arch or 0) if of_qdq else QDQ_AGAINST_FLOAT
        hint = ""
        if seen.inputs == "random":
            exact = not of_qdq or takes_int16_operands(binary.info.htp_arch or 0)
            least = _LEAST_DB_OF_RANDOM if exact else _LEAST_DB_OF_RANDOM_WITH_INT8
            gate = replace(gate, least_db=min(gate.least_db, least))
            hint = "Is it the graph that the binary was compiled from? If so: docs/htp-forms.md."
        require_gate(gate, binary.label, seen.sqnr, hint=hint)
    if seen.qdq_against_float is not None:
        require_gate(QDQ_AGAINST_FLOAT, binary.label, seen.qdq_against_float)

"""What ``qnn-sd verify FILE|FOLDER`` shows people, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

from qnn_sd.binaries.loading import emulator_qairt
from qnn_sd.cli.documents.verify_binary import VerifiedGraph
from qnn_sd.console import Console
from qnn_sd.in_words import shown
from qnn_sd.verification import SQNR_FIGURES

_CHIP = "that a chip computes the same: the emulator was never compared with one here"


def show_verified(console: Console, graphs: Sequence[VerifiedGraph], shows: str, does_not_show: str) -> None:
    """Shows what was seen of each graph, and what that says."""
    if not graphs:
        return
    columns = ["binary", "network", "inputs", "calls", "finite", "repeats", "responds"]
    console.table([*columns, "reference", "SQNR, dB", "QDQ/float, dB"], [_row(each) for each in graphs])
    if any(each.sqnr for each in graphs):
        console.result(SQNR_FIGURES)
    console.result(f"shows: {shows}")
    console.result(f"doesn't show: {does_not_show}")
    for each in graphs:
        for name in each.constant_outputs:
            console.warn(f"{each.binary}: all numbers of its output {shown(name)} are the same")
        if each.responds is False:
            console.warn(f"{each.binary}: two different inputs gave the same outputs")


def _row(seen: VerifiedGraph) -> list[object]:
    words = {True: "yes", False: "no", None: "-"}
    return [
        shown(seen.binary),
        seen.network or "unknown",
        seen.inputs,
        seen.calls,
        words[seen.finite],
        words[seen.repeats],
        words[seen.responds],
        seen.reference or "none",
        seen.sqnr.text if seen.sqnr else "-",
        seen.qdq_against_float.text if seen.qdq_against_float else "-",
    ]


def what_it_shows(graphs: Sequence[VerifiedGraph]) -> tuple[str, str]:
    """What a verification of so much shows, and what it doesn't, in words."""
    qairt = emulator_qairt() or "an unknown version"
    loads = f"the emulator of QAIRT {qairt} loads and runs it"
    if graphs and all(each.inputs == "kept" for each in graphs):
        return f"{loads}, as near to its QDQ graph as the figures say, with the inputs that the build kept", _CHIP
    if graphs and all(each.reference for each in graphs):
        kind = " and ".join(sorted({str(each.reference) for each in graphs}))
        return (
            f"{loads}, as near to the {kind} as the figures say, with random inputs",
            f"how near it is for real prompts, whose values are distributed otherwise; {_CHIP}",
        )
    nothing = "there was nothing to compare it with (--against FOLDER takes its QDQ or float ONNX graph)"
    return (
        f"{loads}; that it is finite, repeats itself and responds was seen with random inputs",
        f"that it computes what its model should: {nothing}; {_CHIP}",
    )

"""The README of a reproduction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx

from qnn_sd.compile.bisect.bisection import Bisection
from qnn_sd.compile.bisect.reproduction_contents import Reproduction
from qnn_sd.compile.bisect.trial import Target
from qnn_sd.markdown import table


def page(
    model: onnx.ModelProto,
    written: Reproduction,
    bisection: Bisection,
    target: Target,
    versions: Mapping[str, str],
) -> str:
    """What is wrong, how to see it, and what is inside.

    Args:
        model: the reproduction's.
        written: what is known of it.
        bisection: that found it.
        target: what it is compiled for.
        versions: of the compiler and of what it comes with, by name.
    """
    ops = [node.op_type for node in model.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    text = {
        "parts": "Compiled by QNN for this HTP, it computes something else than ONNX says: "
        f"{_decibels(written)} SQNR of the HTP emulator (libQnnHtp.so on x86-64) against ONNX Runtime's CPU provider.",
        "refused": "QNN refuses to compile it for this HTP.",
        "crashed": "The QNN compiler crashes on it.",
    }[bisection.fault or "parts"]
    fused = "With the tensors between these ops as outputs as well, the fault is gone." if bisection.fused else ""
    own = {
        "weights": written.own_weights,
        "inputs": written.own_inputs,
        "names": written.own_names,
    }
    kept = ", ".join(what for what, inside in own.items() if inside)
    return (
        "\n\n".join(
            part
            for part in (
                f"# QNN HTP: {' + '.join(dict.fromkeys(ops))}",
                f"`model.onnx` is a QDQ graph of {', '.join(f'{number} {op}' for op, number in Counter(ops).items())}.",
                f"{text} {fused}".strip(),
                f"It says: `{bisection.why}`" if _is_plain(bisection) else "",
                "```sh\npip install numpy "
                + " ".join(f"{name}=={number}" for name, number in versions.items() if name.startswith("onnxruntime"))
                + "\npython run.py\n```",
                table(
                    ["", ""],
                    [
                        ["SoC", f"{target.soc}, QNN's number {target.soc_model}"],
                        ["HTP", f"v{target.htp_arch}"],
                        ["optimization level", str(target.optimization_mode)],
                        *([name, number] for name, number in versions.items()),
                    ],
                ),
                f"Of the graph that it was cut from, these are inside: {kept}."
                if kept
                else "Weights and inputs are random, and names are new.",
            )
            if part
        )
        + "\n"
    )


def _is_plain(bisection: Bisection) -> bool:
    """Whether what the compiler said names neither the graph's ops nor a path."""
    names = [node.name for node in bisection.cuts.ops if node.name]
    return bool(bisection.why) and "/" not in bisection.why and not any(name in bisection.why for name in names)


def _decibels(written: Reproduction) -> str:
    return "NaN" if written.sqnr_db is None else f"{written.sqnr_db:.1f} dB"

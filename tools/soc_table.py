"""Writes qnn_sd/config/known_socs.toml: every SoC that the installed QNN compiler knows, as it says itself.

    python tools/soc_table.py            all numbers, some minutes
    python tools/soc_table.py --check    a few of each kind; exits with 1 where the file says otherwise

For each ``soc_model`` two graphs of one conv are compiled, a quantized and a float one, each in a child process, and
name, HTP version, VTCM, fp16 and whether there are estimates are read off the compiler's verbose log. What the file
says by hand, below the table, stays.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qnn_sd import qnn_provider
from qnn_sd.compile.estimate import profiling_options, read_estimate
from qnn_sd.config import KnownSoc, known_soc
from qnn_sd.config.known_socs import KNOWN_SOCS_FILE
from qnn_sd.toolchain import load_toolchains

BEGIN, END = "# socs: begin (python tools/soc_table.py)\n", "# socs: end\n"
# One beyond the last that the compiler of QAIRT 2.50 names, and room for the next.
NUMBERS = range(1, 131)
# One for each HTP version, and of each of: no fp16, no HTP, estimates, VTCM of another size, a number of no SoC.
SAMPLE = (1, 36, 42, 43, 57, 68, 69, 72, 77, 87, 93, 103, 129)
SECONDS = 60
_UNKNOWN = "UNKNOWN_SDM"


@dataclass(frozen=True)
class Answer:
    """What the compiler says of one number.

    Attributes:
        name: of the SoC, upper-case; None for a number that it doesn't know.
        htp_arch: None without VTCM: the compiler then takes its default, and the SoC has no HTP.
        vtcm_mb: None likewise.
        fp16: whether it takes float graphs for that HTP.
        estimates: whether it estimates times.
    """

    name: str | None
    htp_arch: int | None = None
    vtcm_mb: int | None = None
    fp16: bool = False
    estimates: bool = False

    def row(self, number: int) -> str:
        """The SoC's line in the file."""
        htp = "" if self.htp_arch is None else f", htp_arch = {self.htp_arch}, vtcm_mb = {self.vtcm_mb}"
        flags = "".join(f", {name} = true" for name in ("fp16", "estimates") if getattr(self, name))
        return f'  {{ soc_model = {number}, name = "{self.name}"{htp}{flags} }},\n'


def quantized_conv() -> onnx.ModelProto:
    """One conv, W8A16."""
    parameters = {
        "scale": np.float32(0.01),
        "zero": np.uint16(32768),
        "w": np.random.default_rng(0).integers(-100, 100, (8, 4, 3, 3), dtype=np.int8),
        "w_scale": np.full(8, 0.01, np.float32),
        "w_zero": np.zeros(8, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("QuantizeLinear", ["c", "scale", "zero"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "scale", "zero"], ["y"]),
    ]
    return _model(nodes, parameters)


def float_conv() -> onnx.ModelProto:
    """One conv in float, which the HTP computes in fp16, if it can."""
    weights = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    return _model([helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1] * 4)], {"w": weights})


def _model(nodes: list[onnx.NodeProto], parameters: dict[str, np.ndarray]) -> onnx.ModelProto:
    sizes = {"x": [1, 4, 16, 16], "y": [1, 8, 16, 16]}
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name])] for name in ("x", "y"))
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in parameters.items()]
    graph = helper.make_graph(nodes, "conv", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def compile_here(number: int, kind: str, folder: Path) -> None:
    """In the child process: compiles one of the graphs; the log goes to stderr, a refusal is part of it."""
    import onnxruntime_qnn  # noqa: PLC0415

    options = {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), "soc_model": str(number)}
    if kind == "float":
        options["enable_htp_fp16_precision"] = "1"
    else:
        options |= profiling_options(folder / "profile.csv")
    entries = {"ep.context_enable": "1", "ep.context_file_path": str(folder / "out.onnx"), "ep.context_embed_mode": "0"}
    model = float_conv() if kind == "float" else quantized_conv()
    onnx.save(model, folder / "conv.onnx")
    try:
        qnn_provider.session(folder / "conv.onnx", options, entries, verbose=True)
    except Exception as error:
        print(error, file=sys.stderr)


def ask(number: int) -> Answer:
    """What the compiler says of a number.

    Raises:
        subprocess.TimeoutExpired: it hung.
    """
    log = ""
    with tempfile.TemporaryDirectory(prefix="qnn-sd-soc-") as scratch:
        for kind in ("quantized", "float"):
            command = [sys.executable, __file__, "--child", str(number), kind, scratch]
            log += subprocess.run(
                command, check=False, capture_output=True, text=True, errors="replace", timeout=SECONDS
            ).stderr
        estimates = read_estimate(Path(scratch) / "profile.csv") is not None
    return read(log, estimates)


def read(log: str, estimates: bool) -> Answer:
    """The answer in a log of both compiles."""
    named = re.search(r"SoC model name is (\w+)|unsupported on soc (\w+)", log)
    name = (named[1] or named[2]) if named else None
    if name is None or name == _UNKNOWN:
        return Answer(None)
    arch, vtcm = (re.search(rf"Option: {option} = (\d+)", log) for option in ("arch", "vtcm_size"))
    if arch is None or vtcm is None or int(vtcm[1]) == 0:
        return Answer(name.upper())
    return Answer(name.upper(), int(arch[1]), int(vtcm[1]) >> 20, "SocModel supports FP16" in log, estimates)


def written(known: KnownSoc | None) -> Answer:
    """What the file says of a number, as the compiler would."""
    if known is None:
        return Answer(None)
    return Answer(known.name, known.compiled_arch, known.vtcm_mb, known.fp16, known.estimates)


def check() -> int:
    """Asks the compiler again for a few numbers; the exit code."""
    wrong = 0
    for number in SAMPLE:
        asked, stands = ask(number), written(known_soc(number))
        print(f"{number}: {'as written' if asked == stands else f'{asked}, not {stands}'}")
        wrong += asked != stands
    return int(wrong > 0)


def write() -> None:
    """Writes the table, and keeps what stands below it."""
    rows = []
    for number in NUMBERS:
        answer = ask(number)
        print(number, answer, flush=True)
        if answer.name is not None:
            rows.append(answer.row(number))
    text = KNOWN_SOCS_FILE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    table = f'qairt = "{_compiler()}"\nsocs = [\n{"".join(rows)}]\n'
    KNOWN_SOCS_FILE.write_text(head + BEGIN + table + END + tail, "utf-8")


def _compiler() -> str:
    installed = qnn_provider.versions()
    chosen = load_toolchains().of(installed)
    if chosen is None:
        raise SystemExit(f"{installed} is no set of toolchains.toml: install one first")
    return chosen.qairt


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="ask for a few again; change nothing")
    parser.add_argument("--child", nargs=3, metavar=("NUMBER", "KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        number, kind, folder = options.child
        compile_here(int(number), kind, Path(folder))
        return 0
    if options.check:
        return check()
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main())

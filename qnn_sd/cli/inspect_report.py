"""What ``qnn-sd inspect`` shows people."""

from __future__ import annotations

from qnn_sd.binaries.binary_info import HTP_BACKEND, BinaryInfo, BinaryTensor, TensorEncoding
from qnn_sd.binaries.found import Found
from qnn_sd.binaries.loading import roads_to, soc_title
from qnn_sd.cli.documents.inspect import InspectDocument, InspectedBinary, RuntimeVersion
from qnn_sd.config import known_soc
from qnn_sd.console import Console
from qnn_sd.in_words import shown
from qnn_sd.verification import SQNR_FIGURES

# A SoC's process on the HTP holds no more (reported by AI Hub's compiler).
_PROCESS_BYTES = 2 << 30
_LONGEST_ORIGIN = 200


def show(console: Console, found: Found, document: InspectDocument) -> None:
    """Shows it: each binary, its tensors, where it would load, and what is wrong."""
    read = [each for each in document.binaries if each.info is not None]
    _show_head(console, found, document)
    if read:
        console.table(
            ["binary", "network", "graphs", "MB", "VTCM, MB", "level", "spill-fill, MB"], [_row(each) for each in read]
        )
        console.result("")
        console.table(
            ["graph", "", "tensor", "type", "dims", "layout?", "scale", "offset", "range"],
            [row for each in read for row in _tensor_rows(each, len(read) > 1)],
        )
        console.result("")
        _show_loading(console, read)
        _show_runtimes(console, document.runtimes, [each.qairt for each in read if each.qairt], found.shares_weights)
    _show_figures(console, document)
    _remarks(console, found, document)
    for problem in document.problems:
        console.warn(problem)


def _show_head(console: Console, found: Found, document: InspectDocument) -> None:
    count = len(document.binaries)
    of = f" of {shown(document.model)}" if document.model else ""
    bundle = found.bundle
    named = [bundle.soc, *bundle.further_socs] if bundle and bundle.soc else []
    soc = f" for {shown('+'.join(each.name for each in named))}" if named else ""
    files = len({each.file for each in document.binaries})
    binaries = "1 context binary" if count == 1 else f"{count} context binaries"
    if files < count:
        binaries += f" in {files} file{'s' * (files > 1)}"
    console.result(f"{found.kind}{of}{soc}: {binaries}, {document.bytes / 1e6:,.2f} MB")
    if document.published is not None:
        console.result(shown(document.published.text, _LONGEST_ORIGIN))
    if document.compiled is not None:
        console.result(shown(document.compiled, _LONGEST_ORIGIN))
    for line in dict.fromkeys(_origin(each.info) for each in document.binaries if each.info):
        console.result(line)


def _origin(info: BinaryInfo) -> str:
    backend = "" if info.backend == HTP_BACKEND else f", for QNN's backend {info.backend}, not the HTP"
    htp = "" if info.htp_arch is None else f", HTP v{info.htp_arch}"
    return (
        f"compiled by QAIRT {shown(info.build_id)} for {soc_title(info.soc_model)}{htp}{backend}; "
        f"QNN API {info.core_api}, HTP API {info.backend_api}, format {info.context_version}"
    )


def _name(binary: InspectedBinary) -> str:
    return shown(binary.name)


def _row(binary: InspectedBinary) -> list[object]:
    graphs = binary.info.graphs if binary.info else []
    networks = ", ".join(dict.fromkeys(each or "unknown" for each in binary.networks))
    vtcm = {"-" if each.vtcm_bytes is None else f"{each.vtcm_bytes / (1 << 20):g}" for each in graphs}
    known = known_soc(binary.info.soc_model) if binary.info and binary.info.soc_model else None
    of_chip = f" of {known.vtcm_mb}" if known and known.vtcm_mb else ""
    levels = {"-" if each.optimization_level is None else str(each.optimization_level) for each in graphs}
    spill = sum(each.spill_fill_bytes or 0 for each in graphs)
    return [
        _name(binary),
        networks,
        len(graphs),
        f"{binary.bytes / 1e6:,.2f}",
        ", ".join(sorted(vtcm)) + of_chip,
        ", ".join(sorted(levels)),
        f"{spill / 1e6:.1f}" if spill else "-",
    ]


def _tensor_rows(binary: InspectedBinary, several: bool) -> list[list[object]]:
    rows: list[list[object]] = []
    graphs = binary.info.graphs if binary.info else []
    for graph in graphs:
        name = shown(graph.name)
        if several and len(graphs) == 1:
            name = _name(binary)
        for way, tensors in (("in", graph.inputs), ("out", graph.outputs)):
            rows += [[name, way, *_tensor_cells(each)] for each in tensors]
    return rows


def _tensor_cells(tensor: BinaryTensor) -> list[object]:
    dims = "x".join(map(str, tensor.dims)) or "scalar"
    cells = [shown(tensor.name), tensor.dtype, dims, tensor.layout or "-"]
    return [*cells, *_encoding_cells(tensor.encoding)]


def _encoding_cells(encoding: TensorEncoding | None) -> list[object]:
    if encoding is None:
        return ["-", "-", "-"]
    if encoding.scale is None or encoding.least is None or encoding.greatest is None:
        axis = "" if encoding.axis is None else f" along axis {encoding.axis}"
        return [f"{encoding.count} scales{axis}", "-", "-"]
    return [f"{encoding.scale:.6g}", str(encoding.offset), f"{encoding.least:.5g} to {encoding.greatest:.5g}"]


def _show_loading(console: Console, binaries: list[InspectedBinary]) -> None:
    """One table where all binaries have the same answers."""
    answers: dict[str, list[InspectedBinary]] = {}
    for each in binaries:
        answers.setdefault(str(each.loads), []).append(each)
    for same in answers.values():
        whose = "" if len(answers) == 1 else f" ({', '.join(map(_name, same))})"
        console.table(
            [f"would load on{whose}", "", "why"], [[each.soc, each.loads, each.why or "-"] for each in same[0].loads]
        )
        console.result("")


def _show_runtimes(console: Console, runtimes: list[RuntimeVersion], compilers: list[str], shared: bool) -> None:
    words = {True: "loads it", False: "refuses it", None: "unknown"}
    console.table(
        ["runtime", "QAIRT", ""], [[each.runtime, each.qairt or "unknown", words[each.loads]] for each in runtimes]
    )
    if shared:
        console.say("the emulator loads no file for several SoCs or sizes, which share their weights")
    refusing = [
        each.qairt
        for each in runtimes
        if each.loads is False and each.qairt and not (shared and each.runtime == "emulator")
    ]
    if refusing and compilers:
        console.say(f"newer than {' and '.join(dict.fromkeys(refusing))}: {roads_to(max(compilers), refusing[0])}")


def _show_figures(console: Console, document: InspectDocument) -> None:
    rows = [
        [_name(each), each.verification.binary_against_qdq.text, each.verification.qdq_against_float.text]
        for each in document.binaries
        if each.verification and each.verification.binary_against_qdq
    ]
    if rows:
        console.result("")
        console.table(["measured when it was built", "binary/QDQ, dB", "QDQ/float, dB"], [*rows])
        console.result(SQNR_FIGURES)


def _remarks(console: Console, found: Found, document: InspectDocument) -> None:
    console.say("layout? is a guess from the dims: a binary doesn't say what a dimension means")
    if found.metadata.get("optimization_mode"):
        console.say(f"the build's manifest: level {found.metadata['optimization_mode']}")
    if any(each.embedded for each in document.binaries):
        console.say(
            "a binary inside its .onnx can't be loaded again after the NPU restarts (QNN error 1007): one beside it can"
        )
    if any(each.bytes >= _PROCESS_BYTES for each in document.binaries):
        console.say(
            "a binary of 2 GB or more doesn't fit into a process on most HTPs: a smaller image, or the network in parts"
        )
    for each in document.other_files:
        console.say(f"no context binary: {each}")

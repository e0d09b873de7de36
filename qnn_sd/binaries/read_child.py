"""The child process that reads a context binary: ``python -m qnn_sd.binaries.read_child REQUEST_JSON``."""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qnn_sd import qnn_structs as qnn
from qnn_sd.compile.compiler_child import die_with_parent

# Beyond what any network has: a description that says more is damaged.
_MOST_GRAPHS, _MOST_TENSORS, _MOST_DIMS, _MOST_SCALES = 1024, 65536, 16, 1 << 24
_MOST_LETTERS = 400
# QnnTypes.h: the type in the high byte, its bits, as decimal digits, in the low one.
_TYPES = {0x00: "int", 0x01: "uint", 0x02: "float", 0x03: "sfixed", 0x04: "ufixed", 0x05: "bool", 0x06: "string"}
_SCALE_OFFSET, _AXIS, _BW, _BW_AXIS, _BLOCK = range(5)
_KINDS = ("scale_offset", "axis_scale_offset", "bw_scale_offset", "bw_axis_scale_offset", "block")
_DEFINED = 1
# The header gives VTCM in MB, binaries of QAIRT 2.48 to 2.51 have it in bytes.
_MOST_VTCM_MB = 1 << 12


class _DamagedError(Exception):
    """The description says what can't be."""


def main() -> int:
    """Reads what the request names and writes its description as JSON; a failure's message goes to stdout."""
    request = json.loads(sys.argv[1])
    die_with_parent(request["parent"])
    try:
        with Path(request["file"]).open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        answer = _described(data, request["start"], request["size"])
    except (_DamagedError, OSError, ValueError) as error:
        print(error, flush=True)
        return 1
    Path(request["answer"]).write_text(json.dumps(answer, allow_nan=False), "utf-8")
    return 0


def _described(data: mmap.mmap, start: int, size: int | None) -> dict[str, Any]:
    interface = _system_interface()
    size = len(data) - start if size is None else size
    if not 0 < size <= len(data) - start:
        raise _DamagedError("It ends before its header says.")
    view = (ctypes.c_char * len(data)).from_buffer(data)
    handle, found = ctypes.c_void_p(), ctypes.POINTER(qnn.Binary)()
    if interface.context_create(ctypes.byref(handle)):
        raise _DamagedError("QNN's library can't be used.")
    place = ctypes.c_void_p(ctypes.addressof(view) + start)
    code = interface.get_metadata(handle, place, size, ctypes.byref(found))
    if code or not found:
        # The older function, which knows older formats.
        written = ctypes.c_uint64()
        code = interface.get_binary_info(handle, place, size, ctypes.byref(found), ctypes.byref(written))
    if code or not found:
        raise _DamagedError(f"QNN's library refuses it (error {code}).")
    return _binary(found.contents)


def _system_interface() -> qnn.SystemInterface:
    import onnxruntime_qnn  # noqa: PLC0415 (its absence is told by whoever started this)

    library = ctypes.CDLL(str(Path(onnxruntime_qnn.get_qnn_htp_path()).with_name("libQnnSystem.so")))
    providers, count = ctypes.POINTER(ctypes.POINTER(qnn.SystemInterface))(), ctypes.c_uint32()
    if library.QnnSystemInterface_getProviders(ctypes.byref(providers), ctypes.byref(count)) or not count.value:
        raise _DamagedError("QNN's library can't be used.")
    interface: qnn.SystemInterface = providers[0].contents
    return interface


def _binary(found: qnn.Binary) -> dict[str, Any]:
    if found.version not in (1, 2, 3):
        raise _DamagedError(f"Its description is of version {found.version}, which nobody here knows.")
    body = found.of.v3 if found.version == 3 else found.of.v2
    soc_model = htp_arch = None
    spilled: dict[int, int] = {}
    if found.version == 3:
        soc_model = body.soc_model or None
        if body.metadata and body.metadata_size >= ctypes.sizeof(qnn.HtpContext):
            context = ctypes.cast(body.metadata, ctypes.POINTER(qnn.HtpContext)).contents
            htp_arch = context.htp_arch if context.version == 1 else None
    elif body.hardware and body.hardware_size >= ctypes.sizeof(qnn.HtpHardware):
        hardware = ctypes.cast(body.hardware, ctypes.POINTER(qnn.HtpHardware)).contents
        spilled = {hardware.graph_index: hardware.spill_fill_bytes} if hardware.version == 1 else {}
    count = _sane(body.graph_count, _MOST_GRAPHS, "graphs")
    return {
        "backend": body.backend_id,
        "build_id": _text(body.build_id),
        "soc_model": soc_model,
        "htp_arch": htp_arch,
        "core_api": body.core_api.text,
        "backend_api": body.backend_api.text,
        "context_version": body.context_version.text,
        "graphs": [_graph(body.graphs[number], spilled.get(number)) for number in range(count)],
        "version": found.version,
    }


def _graph(graph: qnn.Graph, spill_fill: int | None) -> dict[str, Any]:
    body = graph.body
    if graph.version not in (1, 2, 3):
        raise _DamagedError(f"A graph's description is of version {graph.version}, which nobody here knows.")
    vtcm = level = None
    if graph.version == 3 and body.blob and body.blob_size >= ctypes.sizeof(qnn.HtpGraph):
        htp = ctypes.cast(body.blob, ctypes.POINTER(qnn.HtpGraph)).contents
        if htp.version == 1:
            vtcm = htp.vtcm << 20 if htp.vtcm < _MOST_VTCM_MB else htp.vtcm
            spill_fill, level = htp.spill_fill_bytes, htp.optimization_level
    return {
        "name": _text(body.name),
        "inputs": _tensors(body.inputs, body.input_count),
        "outputs": _tensors(body.outputs, body.output_count),
        "updateable": body.updateable_count if graph.version > 1 else 0,
        "vtcm_bytes": vtcm,
        "spill_fill_bytes": spill_fill,
        "optimization_level": level,
        "version": graph.version,
    }


def _tensors(tensors: Any, count: int) -> list[dict[str, Any]]:
    return [_tensor(tensors[number]) for number in range(_sane(count, _MOST_TENSORS, "tensors"))]


def _tensor(tensor: qnn.Tensor) -> dict[str, Any]:
    body = tensor.body
    if tensor.version not in (1, 2):
        raise _DamagedError(f"A tensor's description is of version {tensor.version}, which nobody here knows.")
    dims = [body.dims[number] for number in range(_sane(body.rank, _MOST_DIMS, "dimensions"))]
    kind, bits = _TYPES.get(body.data_type >> 8), f"{body.data_type & 0xFF:x}"
    return {
        "name": _text(body.name),
        "dtype": f"{kind}{bits}" if kind and bits.isdecimal() else hex(body.data_type),
        "dims": dims,
        "encoding": _encoding(body, int(bits) if bits.isdecimal() else 0, dims),
        "layout": _layout(dims),
        "version": tensor.version,
    }


def _encoding(body: qnn.TensorBody, bits: int, dims: Sequence[int]) -> dict[str, Any] | None:
    quantization = body.quantization
    if quantization.definition != _DEFINED:
        return None
    kind, of = quantization.kind, quantization.of
    signed = body.data_type >> 8 == 0x03
    if kind in (_SCALE_OFFSET, _BW):
        one = of.scale_offset if kind == _SCALE_OFFSET else of.bw
        bits = bits if kind == _SCALE_OFFSET else one.bits
        return {"kind": _KINDS[kind], "bits": bits, **_range(one.scale, one.offset, bits, signed)}
    if kind in (_AXIS, _BW_AXIS):
        several = of.axis if kind == _AXIS else of.bw_axis
        return {
            "kind": _KINDS[kind],
            "bits": bits if kind == _AXIS else several.bits,
            "axis": several.axis,
            "count": _sane(several.count, _MOST_SCALES, "scales"),
        }
    if kind == _BLOCK and of.blocks.sizes:
        sizes = [max(1, of.blocks.sizes[number]) for number in range(len(dims))]
        blocks = math.prod(-(-dim // size) for dim, size in zip(dims, sizes, strict=True))
        return {"kind": "block", "bits": bits, "count": blocks}
    return {"kind": "other", "bits": bits, "count": 0}


def _range(scale: float, offset: int, bits: int, signed: bool) -> dict[str, Any]:
    if not math.isfinite(scale) or not 0 < bits <= 32:
        return {}
    first = -(1 << (bits - 1)) if signed else 0
    last = first + (1 << bits) - 1
    return {
        "scale": scale,
        "offset": offset,
        "least": scale * (first + offset),
        "greatest": scale * (last + offset),
    }


def _layout(dims: Sequence[int]) -> str | None:
    """By the smaller of the two dimensions where channels may be; images of Stable Diffusion have few."""
    if len(dims) != 4 or dims[1] == dims[3]:
        return None
    # A square map tells whichever has more: deep in a network channels are many.
    if dims[2] == dims[3]:
        return "NCHW"
    if dims[1] == dims[2]:
        return "NHWC"
    return "NCHW" if dims[1] < dims[3] else "NHWC"


def _text(given: bytes | None) -> str:
    return (given or b"")[:_MOST_LETTERS].decode("utf-8", "replace")


def _sane(count: int, most: int, what: str) -> int:
    if count > most:
        raise _DamagedError(f"Its description speaks of {count:,} {what}.")
    return int(count)


if __name__ == "__main__":
    sys.exit(main())

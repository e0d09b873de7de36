"""Runs a DLC as ``qnn-net-run --dlc_path`` does: libQnnSystem composes its graph on the HTP, here the emulator.

The wheel of onnxruntime-qnn has both libraries and neither the tool nor C headers. What is called here is defined in
QnnInterface.h, System/QnnSystemDlc.h and HTP/QnnHtpDevice.h of the QAIRT SDK.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from qnn_sd import qnn_provider
from qnn_sd.errors import TargetError
from qnn_sd.qnn_structs import Fields, Graph, Tensor, Version
from qnn_sd.runner import Feeds, Outputs

# How many functions QnnInterface_t has, by the version of onnxruntime-qnn. It is handed over by value, with further
# arguments behind it, so that its size must be right, and the libraries don't tell it. Found by trying which size
# composes a graph: core API 2.37 and 2.38 have 72, 2.39 and 2.40 have 75.
_FUNCTIONS = {(2, 4): 72, (2, 5): 72, (2, 6): 75, (2, 7): 75}
# Their places in the interfaces' tables.
_DLC_CREATE_FROM_FILE, _DLC_COMPOSE_GRAPHS = 8, 10
_BACKEND_CREATE, _CONTEXT_CREATE, _GRAPH_FINALIZE, _GRAPH_RETRIEVE, _GRAPH_EXECUTE, _DEVICE_CREATE = (
    1,
    9,
    19,
    20,
    21,
    40,
)
_GRAPH_INFO_VERSION_1 = 1
_Interface = TypeVar("_Interface", bound=ctypes.Structure)
_DTYPES = {0x0232: np.float32, 0x0032: np.int32}  # Qnn_DataType_t of a component's inputs and outputs


class _SystemInterface(ctypes.Structure):
    """``QnnSystemInterface_t``, as far as it is needed."""

    _fields_: ClassVar[Fields] = [
        ("backend_id", c_uint32),
        ("provider", c_char_p),
        ("version", Version),
        ("functions", c_void_p * (_DLC_COMPOSE_GRAPHS + 1)),
    ]


class _HtpDeviceConfig(ctypes.Structure):
    """``QnnHtpDevice_CustomConfig_t`` with the option SOC, 0; QAIRT 2.49 has its value at byte 4, 2.50 at 8."""

    _fields_: ClassVar[Fields] = [
        ("option", c_uint32),
        ("soc_model", c_uint32),
        ("soc_model_later", c_uint32),
        ("rest", c_uint32),
    ]


class _DeviceConfig(ctypes.Structure):
    """``QnnDevice_Config_t`` with the option CUSTOM, 0."""

    _fields_: ClassVar[Fields] = [("option", c_uint32), ("custom", POINTER(_HtpDeviceConfig))]


class _Dlc:
    """A DLC whose graph is composed and finalized on the HTP of a SoC."""

    def __init__(self, path: Path, soc_model: int) -> None:
        self._path = path
        backend, system = (ctypes.CDLL(str(qnn_provider.library(name))) for name in ("libQnnHtp.so", "libQnnSystem.so"))

        class Interface(ctypes.Structure):
            """``QnnInterface_t``."""

            _fields_: ClassVar[Fields] = [
                ("backend_id", c_uint32),
                ("provider", c_char_p),
                ("core_api", Version),
                ("backend_api", Version),
                ("functions", c_void_p * _FUNCTIONS[_plugin_version()]),
            ]

        self._interface_type = Interface
        self._interface = _provider(backend.QnnInterface_getProviders, Interface)
        self._system = _provider(system.QnnSystemInterface_getProviders, _SystemInterface)
        context = self._context(soc_model)
        self._graph, self.inputs, self.outputs = self._compose(*context)

    def run(self, feeds: Feeds) -> Outputs:
        """One call of the graph."""
        given = {name: np.ascontiguousarray(feeds[name], array.dtype) for name, array in _arrays(self.inputs).items()}
        made = _arrays(self.outputs)
        for tensors, arrays in ((self.inputs, given), (self.outputs, made)):
            for tensor in tensors:
                array = arrays[tensor.body.name.decode()]
                tensor.body.memory_type = 0  # QNN_TENSORMEMTYPE_RAW
                tensor.body.buffer.data, tensor.body.buffer.size = array.ctypes.data, array.nbytes
        inputs, outputs = ((Tensor * len(each))(*each) for each in (self.inputs, self.outputs))
        execute = (c_void_p, c_void_p, c_uint32, c_void_p, c_uint32, c_void_p, c_void_p)
        self._call("run", _GRAPH_EXECUTE, execute, self._graph, inputs, len(inputs), outputs, len(outputs), None, None)
        return made

    def _context(self, soc_model: int) -> tuple[c_void_p, c_void_p]:
        """An empty context on the HTP, and its backend."""
        backend, device, context = c_void_p(), c_void_p(), c_void_p()
        custom = _HtpDeviceConfig(0, soc_model, soc_model, 0)
        config = _DeviceConfig(0, ctypes.pointer(custom))
        configs = (POINTER(_DeviceConfig) * 2)(ctypes.pointer(config))  # ends with a null pointer
        three = (c_void_p, c_void_p, c_void_p)
        self._call("opened on the HTP", _BACKEND_CREATE, three, None, None, byref(backend))
        self._call("opened on the HTP", _DEVICE_CREATE, three, None, configs, byref(device))
        self._call("opened on the HTP", _CONTEXT_CREATE, (*three, c_void_p), backend, device, None, byref(context))
        return backend, context

    def _compose(self, backend: c_void_p, context: c_void_p) -> tuple[c_void_p, list[Tensor], list[Tensor]]:
        """The finalized graph with its inputs and outputs."""
        dlc, graph, graphs, count = c_void_p(), c_void_p(), POINTER(Graph)(), c_uint32()
        create = ctypes.CFUNCTYPE(c_uint64, c_void_p, c_char_p, c_void_p)(self._system.functions[_DLC_CREATE_FROM_FILE])
        self._check("opened", create(None, str(self._path).encode(), byref(dlc)))
        compose = ctypes.CFUNCTYPE(
            c_uint64,
            c_void_p,
            c_void_p,
            c_uint32,
            c_void_p,
            c_void_p,
            self._interface_type,
            c_uint32,
            c_void_p,
            c_void_p,
        )(self._system.functions[_DLC_COMPOSE_GRAPHS])
        arguments = (
            dlc,
            None,
            0,
            backend,
            context,
            self._interface,
            _GRAPH_INFO_VERSION_1,
            byref(graphs),
            byref(count),
        )
        self._check("composed", compose(*arguments))
        if count.value != 1:
            raise TargetError(
                f"{self._path} holds {count.value} graphs", hint="Only a DLC with one graph can be run here."
            )
        # Kept alive by the DLC, which nothing closes: the process that runs it ends with it.
        body = graphs[0].body
        three = (c_void_p, c_char_p, c_void_p)
        self._call("composed", _GRAPH_RETRIEVE, three, context, body.name, byref(graph))
        self._call("compiled for the HTP", _GRAPH_FINALIZE, (c_void_p,) * 3, graph, None, None)
        return graph, body.inputs[: body.input_count], body.outputs[: body.output_count]

    def _call(self, done: str, place: int, types: tuple[type, ...], *arguments: object) -> None:
        self._check(done, ctypes.CFUNCTYPE(c_uint64, *types)(self._interface.functions[place])(*arguments))

    def _check(self, done: str, status: int) -> None:
        if status:
            raise TargetError(
                f"{self._path} can't be {done}",
                why=f"QNN answered {status} (0x{status:x}).",
                hint="Make it again: qnn-sd compile --format dlc.",
            )


def why_no_dlc_runs() -> str | None:
    """Why the installed libraries can't be asked to run a DLC; None where they can."""
    if _plugin_version() in _FUNCTIONS:
        return None
    known = ", ".join(f"{major}.{minor}" for major, minor in _FUNCTIONS)
    plugin = f"onnxruntime-qnn {qnn_provider.versions()['onnxruntime-qnn']}"
    return f"how the libraries of {plugin} are called isn't known; it is of {known}"


def _plugin_version() -> tuple[int, int]:
    major, minor = qnn_provider.versions()["onnxruntime-qnn"].split(".")[:2]
    return int(major), int(minor)


def run_dlc(path: Path, soc_model: int, samples: Sequence[Feeds]) -> list[Outputs]:
    """What a DLC computes on the HTP emulator, from each sample.

    Args:
        path: the file, with one graph.
        soc_model: QNN's number of the SoC.
        samples: inputs, by name; float32 or int32, in the shapes of the ONNX graph.

    Raises:
        TargetError: it can't be read, composed or run.
    """
    dlc = _Dlc(path, soc_model)
    return [dlc.run(feeds) for feeds in samples]


def _provider(get_providers: Callable[..., int], kind: type[_Interface]) -> _Interface:
    """The interface of a library that was loaded."""
    found, count = POINTER(POINTER(kind))(), c_uint32()
    if get_providers(byref(found), byref(count)) or not count.value:
        raise TargetError("The QNN libraries offer no interface", hint="Run qnn-sd doctor.")
    return cast(_Interface, found[0].contents)


def _arrays(tensors: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
    """Zeros for each tensor, by name."""
    return {
        tensor.body.name.decode(): np.zeros(tensor.body.dims[: tensor.body.rank], _dtype(tensor)) for tensor in tensors
    }


def _dtype(tensor: Tensor) -> type[np.generic]:
    try:
        return _DTYPES[tensor.body.data_type]
    except KeyError:
        name = tensor.body.name.decode()
        raise TargetError(
            f"{name} of the DLC has QNN's data type 0x{tensor.body.data_type:04x}",
            hint="Inputs and outputs of a component are float32 or int32.",
        ) from None

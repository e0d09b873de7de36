"""Layouts of the structures in which ``libQnnSystem.so`` describes a context binary.

The wheel of onnxruntime-qnn has the library and no C headers. What defines these layouts are QnnTypes.h,
System/QnnSystemInterface.h, System/QnnSystemContext.h and HTP/QnnHtpSystemContext.h of the QAIRT SDK; the names of
fields are shortened here.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, ClassVar

Fields = list[tuple[str, Any]]


class Version(ctypes.Structure):
    """``Qnn_Version_t``."""

    _fields_: ClassVar[Fields] = [("major", c_uint32), ("minor", c_uint32), ("patch", c_uint32)]

    @property
    def text(self) -> str:
        """Such as ``2.35.0``."""
        return f"{self.major}.{self.minor}.{self.patch}"


class ScaleOffset(ctypes.Structure):
    """``Qnn_ScaleOffset_t``: value = scale * (integer + offset)."""

    _fields_: ClassVar[Fields] = [("scale", c_float), ("offset", c_int32)]


class AxisScaleOffset(ctypes.Structure):
    """``Qnn_AxisScaleOffset_t``: one pair per slice along an axis."""

    _fields_: ClassVar[Fields] = [("axis", c_int32), ("count", c_uint32), ("pairs", POINTER(ScaleOffset))]


class BwScaleOffset(ctypes.Structure):
    """``Qnn_BwScaleOffset_t``: fewer bits than the type has."""

    _fields_: ClassVar[Fields] = [("bits", c_uint32), ("scale", c_float), ("offset", c_int32)]


class BwAxisScaleOffset(ctypes.Structure):
    """``Qnn_BwAxisScaleOffset_t``; no offsets means that all are 0."""

    _fields_: ClassVar[Fields] = [
        ("bits", c_uint32),
        ("axis", c_int32),
        ("count", c_uint32),
        ("scales", POINTER(c_float)),
        ("offsets", POINTER(c_int32)),
    ]


class Blocks(ctypes.Structure):
    """``Qnn_BlockEncoding_t``: ``sizes`` has an entry per dimension."""

    _fields_: ClassVar[Fields] = [("sizes", POINTER(c_uint32)), ("pairs", POINTER(ScaleOffset))]


class _EncodingUnion(ctypes.Union):
    _fields_: ClassVar[Fields] = [
        ("scale_offset", ScaleOffset),
        ("axis", AxisScaleOffset),
        ("bw", BwScaleOffset),
        ("bw_axis", BwAxisScaleOffset),
        ("blocks", Blocks),
        ("other", c_void_p),
    ]


class QuantizeParams(ctypes.Structure):
    """``Qnn_QuantizeParams_t``; ``kind`` says which member of the union holds."""

    _fields_: ClassVar[Fields] = [("definition", c_uint32), ("kind", c_uint32), ("of", _EncodingUnion)]


class _ClientBuffer(ctypes.Structure):
    _fields_: ClassVar[Fields] = [("data", c_void_p), ("size", c_uint32)]


class TensorBody(ctypes.Structure):
    """``Qnn_TensorV2_t``, whose first fields, up to ``buffer``, are ``Qnn_TensorV1_t``."""

    _fields_: ClassVar[Fields] = [
        ("id", c_uint32),
        ("name", c_char_p),
        ("type", c_uint32),
        ("data_format", c_uint32),
        ("data_type", c_uint32),
        ("quantization", QuantizeParams),
        ("rank", c_uint32),
        ("dims", POINTER(c_uint32)),
        ("memory_type", c_uint32),
        ("buffer", _ClientBuffer),
        ("dynamic_dims", POINTER(c_uint8)),
        ("sparse", c_uint32 * 3),
        ("is_produced", c_uint8),
    ]


class Tensor(ctypes.Structure):
    """``Qnn_Tensor_t``; an array of it has this stride in both versions."""

    _fields_: ClassVar[Fields] = [("version", c_uint32), ("body", TensorBody)]


class GraphBody(ctypes.Structure):
    """``QnnSystemContext_GraphInfoV3_t``, whose first fields are those of versions 1 (to ``outputs``) and 2."""

    _fields_: ClassVar[Fields] = [
        ("name", c_char_p),
        ("input_count", c_uint32),
        ("inputs", POINTER(Tensor)),
        ("output_count", c_uint32),
        ("outputs", POINTER(Tensor)),
        ("updateable_count", c_uint32),
        ("updateable", POINTER(Tensor)),
        ("blob_size", c_uint32),
        ("blob", c_void_p),
        ("first_op", c_uint32),
        ("last_op", c_uint32),
    ]


class Graph(ctypes.Structure):
    """``QnnSystemContext_GraphInfo_t``."""

    _fields_: ClassVar[Fields] = [("version", c_uint32), ("body", GraphBody)]


# Of the binary's description too each version begins as the one before, up to where hwInfoBlob was dropped in 3.
_HEAD: Fields = [
    ("backend_id", c_uint32),
    ("build_id", c_char_p),
    ("core_api", Version),
    ("backend_api", Version),
    ("soc_version", c_char_p),
]
_TABLES: Fields = [
    ("context_bytes", c_uint64),
    ("tensor_count", c_uint32),
    ("tensors", POINTER(Tensor)),
    ("graph_count", c_uint32),
    ("graphs", POINTER(Graph)),
]


class BinaryBody2(ctypes.Structure):
    """``QnnSystemContext_BinaryInfoV2_t``, which is ``…V1_t`` and ``platform``."""

    _fields_: ClassVar[Fields] = [
        *_HEAD,
        ("hardware_version", Version),
        ("context_version", Version),
        ("hardware_size", c_uint32),
        ("hardware", c_void_p),
        *_TABLES,
        ("platform", c_void_p),
    ]


class BinaryBody3(ctypes.Structure):
    """``QnnSystemContext_BinaryInfoV3_t``."""

    _fields_: ClassVar[Fields] = [
        *_HEAD,
        ("context_version", Version),
        *_TABLES,
        ("platform", c_void_p),
        ("metadata_size", c_uint32),
        ("metadata", c_void_p),
        ("soc_model", c_uint32),
    ]


class _BinaryUnion(ctypes.Union):
    _fields_: ClassVar[Fields] = [("v2", BinaryBody2), ("v3", BinaryBody3)]


class Binary(ctypes.Structure):
    """``QnnSystemContext_BinaryInfo_t``."""

    _fields_: ClassVar[Fields] = [("version", c_uint32), ("of", _BinaryUnion)]


class HtpGraph(ctypes.Structure):
    """``QnnHtpSystemContext_GraphBlobInfo_t``, version 1: what ``GraphBody.blob`` points to in an HTP's binary."""

    _fields_: ClassVar[Fields] = [
        ("version", c_uint32),
        ("spill_fill_bytes", c_uint64),
        ("vtcm", c_uint32),
        ("optimization_level", c_uint32),
    ]


class HtpHardware(ctypes.Structure):
    """``QnnHtpSystemContext_HwBlobInfo_t``, version 1: what ``BinaryBody2.hardware`` points to."""

    _fields_: ClassVar[Fields] = [("version", c_uint32), ("graph_index", c_uint32), ("spill_fill_bytes", c_uint64)]


class HtpContext(ctypes.Structure):
    """``QnnHtpSystemContext_ContextBlobInfo_t``, version 1: what ``BinaryBody3.metadata`` points to."""

    _fields_: ClassVar[Fields] = [("version", c_uint32), ("htp_arch", c_uint32)]


class SystemInterface(ctypes.Structure):
    """``QnnSystemInterface_t`` with its first functions: what ``QnnSystemInterface_getProviders`` gives."""

    _fields_: ClassVar[Fields] = [
        ("backend_id", c_uint32),
        ("provider", c_char_p),
        ("version", Version),
        ("context_create", ctypes.CFUNCTYPE(c_uint64, POINTER(c_void_p))),
        (
            "get_binary_info",
            ctypes.CFUNCTYPE(c_uint64, c_void_p, c_void_p, c_uint64, POINTER(POINTER(Binary)), POINTER(c_uint64)),
        ),
        ("get_metadata", ctypes.CFUNCTYPE(c_uint64, c_void_p, c_void_p, c_uint64, POINTER(POINTER(Binary)))),
        ("context_free", ctypes.CFUNCTYPE(c_uint64, c_void_p)),
    ]

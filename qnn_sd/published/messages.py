"""The messages of a release's manifest files, as far as they are read: protocol buffers, which come with onnx.

Field numbers are those of AI Hub Models' own schema (package ``qai_hub_models_cli`` 0.65.0, ``proto/``); a message's
other fields are skipped.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Values of its enumerations Runtime and Precision.
QNN_CONTEXT_BINARY = 3
W8A16 = 3

_PACKAGE = "qnn_sd.published"
_Field = descriptor_pb2.FieldDescriptorProto
# By message: number and kind of each field; a message's name stands for a field of that message, with [] for several.
_SCHEMA = {
    "ToolVersions": {"qairt": (2, "string")},
    "Asset": {
        "precision": (1, "int32"),
        "runtime": (2, "int32"),
        "chipset": (3, "string"),
        "download_url": (4, "string"),
        "tool_versions": (5, "ToolVersions"),
    },
    "ReleaseAssets": {"aihm_version": (1, "string"), "model_id": (2, "string"), "assets": (3, "Asset[]")},
    "ManifestUrls": {"release_assets": (4, "string")},
    "Model": {"id": (1, "string"), "display_name": (2, "string"), "manifest_urls": (4, "ManifestUrls")},
    "ReleaseManifest": {"version": (1, "string"), "models": (3, "Model[]")},
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="published.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            single = kind.removesuffix("[]")
            label = _Field.LABEL_REPEATED if kind != single else _Field.LABEL_OPTIONAL
            if single in _SCHEMA:
                type_of = {"type": _Field.TYPE_MESSAGE, "type_name": f".{_PACKAGE}.{single}"}
            else:
                # An enumeration travels as an int32 does.
                type_of = {"type": {"string": _Field.TYPE_STRING, "int32": _Field.TYPE_INT32}[single]}
            message.field.add(name=field, number=number, label=label, **type_of)
    # A pool of its own: the client's messages may be in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _SCHEMA}


_MESSAGES = _classes()
ReleaseAssets = _MESSAGES["ReleaseAssets"]
ReleaseManifest = _MESSAGES["ReleaseManifest"]

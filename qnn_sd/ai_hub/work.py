"""What AI Hub is asked to do: all that decides a job's result, and the key that follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qnn_sd.ai_hub.cloud_devices import CloudDevice
from qnn_sd.artifact import sha256_of_json

JobKind = Literal["profile", "inference", "compile", "link"]
# Part of every key: raised when the same work would give another result.
_FORM = 1
_KEY_LETTERS = 16


@dataclass(frozen=True)
class HubModel:
    """A model at AI Hub.

    Attributes:
        id: its identifier there.
        sha256: hash of its content; of a job's result, a hash that follows from the job's key.
        label: what people call it, such as ``unet``.
    """

    id: str
    sha256: str
    label: str


@dataclass(frozen=True)
class HubJob:
    """A job at AI Hub.

    Attributes:
        id: its identifier there.
        kind: what it does.
        label: what people call it, such as ``unet``.
        device: name of the device.
        url: its page; no token in it.
        key: of the work that it does.
    """

    id: str
    kind: JobKind
    label: str
    device: str
    url: str
    key: str


@dataclass(frozen=True)
class ProfileWork:
    """One network measured on a device, with random inputs.

    Attributes:
        model: a context binary, or what else the device runs.
        device: where.
        options: as AI Hub's client takes them.
        label: what people call it.
    """

    model: HubModel
    device: CloudDevice
    options: str
    label: str
    kind: JobKind = "profile"

    @property
    def key(self) -> str:
        """SHA-256 over all that decides the result."""
        return _key(self.kind, [self.model.sha256], self.device, self.options, None)


@dataclass(frozen=True)
class InferenceWork:
    """One network run on a device with given inputs, and measured.

    Attributes:
        model: as ``ProfileWork`` has it.
        device: where.
        inputs: one array a sample for each input, in the order of the network's inputs.
        options: as AI Hub's client takes them.
        label: what people call it.
    """

    model: HubModel
    device: CloudDevice
    inputs: Mapping[str, list[NDArray[Any]]]
    options: str
    label: str
    kind: JobKind = "inference"

    @property
    def key(self) -> str:
        """SHA-256 over all that decides the result."""
        return _key(self.kind, [self.model.sha256], self.device, self.options, sha256_of_inputs(self.inputs))


@dataclass(frozen=True)
class CompileWork:
    """One network compiled in the cloud.

    Attributes:
        model: an ONNX folder, or a context binary to embed.
        device: for which one.
        options: as AI Hub's client takes them.
        label: what people call it.
        input_specs: shape and dtype of each input; empty where the model's own are meant.
    """

    model: HubModel
    device: CloudDevice
    options: str
    label: str
    input_specs: Mapping[str, tuple[tuple[int, ...], str]]
    kind: JobKind = "compile"

    @property
    def key(self) -> str:
        """SHA-256 over all that decides the result."""
        specs = [[name, list(shape), dtype] for name, (shape, dtype) in self.input_specs.items()]
        return _key(self.kind, [self.model.sha256], self.device, self.options, specs)


@dataclass(frozen=True)
class LinkWork:
    """DLCs linked into one context binary.

    Attributes:
        models: DLCs, in the order of their graphs.
        device: for which one.
        options: as AI Hub's client takes them.
        label: what people call it.
    """

    models: tuple[HubModel, ...]
    device: CloudDevice
    options: str
    label: str
    kind: JobKind = "link"

    @property
    def key(self) -> str:
        """SHA-256 over all that decides the result."""
        return _key(self.kind, [each.sha256 for each in self.models], self.device, self.options, None)


Work = ProfileWork | InferenceWork | CompileWork | LinkWork


def _key(kind: JobKind, models: list[str], device: CloudDevice, options: str, rest: object) -> str:
    place = [device.name, device.os]
    return sha256_of_json(
        {"form": _FORM, "kind": kind, "models": models, "device": place, "options": options.split(), "rest": rest}
    )


def job_name(work: Work) -> str:
    """A job's name at AI Hub: by the key in it the job is found again."""
    return name_at_hub(work.label, work.key)


def name_at_hub(label: str, digest: str) -> str:
    """The name at AI Hub of what has a hash."""
    return f"qnn-sd {label} {digest[:_KEY_LETTERS]}"


def sha256_of_inputs(inputs: Mapping[str, list[NDArray[Any]]]) -> str:
    """Hash of recorded inputs: names in order, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name, samples in inputs.items():
        digest.update(f"{name}\n{len(samples)}\n".encode())
        for each in samples:
            digest.update(f"{each.dtype.str} {each.shape}\n".encode())
            digest.update(np.ascontiguousarray(each).tobytes())
    return digest.hexdigest()

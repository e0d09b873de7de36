"""Inference and profile jobs: a context binary on the HTP emulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from qai_hub import public_api_pb2 as api
from qai_hub.util.dataset_entries_converters import dataset_entries_to_h5, h5_to_dataset_entries

from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor
from qnn_sd.binaries.found import FoundBinary, find_binaries
from qnn_sd.binaries.raw_node import numpy_type, to_integers, to_values
from qnn_sd.binaries.run import random_values, run_graph
from qnn_sd.compile import Children
from qnn_sd.config import DeviceProfile
from qnn_sd.errors import BinaryError, TargetError
from qnn_sd.hub_stand_in.job_options import JobOptions
from qnn_sd.hub_stand_in.refusals import JobFailed
from qnn_sd.hub_stand_in.sources import Source
from qnn_sd.runner import Feeds
from qnn_sd.toolchain import loads

Array = NDArray[np.generic]
Entries = dict[str, list[Array]]


@dataclass(frozen=True)
class Loaded:
    """A context binary that a device takes.

    Attributes:
        binary: it.
        graph: of it that runs.
    """

    binary: FoundBinary
    graph: BinaryGraph


def load(source: Source, profile: DeviceProfile, options: JobOptions, qairt: str) -> Loaded:
    """Reads a binary and holds it against the device.

    Args:
        source: the model's files.
        profile: of the device's SoC.
        options: of the job.
        qairt: version of the device's libraries.

    Raises:
        JobFailed: it is none, or one for another HTP or of a newer QAIRT.
    """
    place = source.onnx or source.binary
    assert place is not None, "a source has files"
    try:
        found = find_binaries(place)
    except BinaryError as error:
        if error.is_other:
            raise JobFailed(api.JOB_FAILURE_TYPE_UNSUPPORTED, "The stand-in runs context binaries only.") from error
        raise JobFailed(api.JOB_FAILURE_TYPE_MODEL_CORRUPT, error.what, error.why) from error
    if found.problems or len(found.binaries) != 1 or found.binaries[0].info is None:
        problems = [*found.problems, *(text for each in found.binaries for text in each.problems)]
        reason = "; ".join(problems) or f"It holds {len(found.binaries)} context binaries, not one."
        raise JobFailed(api.JOB_FAILURE_TYPE_MODEL_CORRUPT, reason)
    [binary] = found.binaries
    _check(binary, profile, qairt)
    return Loaded(binary, _graph(binary, options))


def _check(binary: FoundBinary, profile: DeviceProfile, qairt: str) -> None:
    info = binary.info
    assert info is not None, "it was read"
    if info.htp_arch != profile.htp_arch:
        raise JobFailed(
            api.JOB_FAILURE_TYPE_DSP_VERSION_MISMATCH,
            f"The context binary was compiled for Hexagon v{info.htp_arch}; the device has v{profile.htp_arch}.",
        )
    if not loads(qairt, info.build_id):
        raise JobFailed(
            api.JOB_FAILURE_TYPE_QNN_VERSION_MISMATCH,
            f"The context binary was compiled by QAIRT {info.build_id}, which is newer than {qairt} on the device. "
            "Specify --qairt_version.",
        )


def _graph(binary: FoundBinary, options: JobOptions) -> BinaryGraph:
    graphs = {each.name: each for each in binary.info.graphs} if binary.info else {}
    name = options.graph_name() or next(iter(graphs), "")
    if name not in graphs:
        known = ", ".join(graphs)
        raise JobFailed(api.JOB_FAILURE_TYPE_INVALID_ARGUMENT, f"The binary has no graph {name!r}, but {known}.")
    return graphs[name]


def run(loaded: Loaded, inputs: Entries | None, options: JobOptions, children: Children) -> Entries:
    """The outputs of each sample, as the binary gives them.

    Args:
        loaded: what runs.
        inputs: a list of samples for each input; None for one drawn sample.
        options: of the job.
        children: that the emulator's process is among.

    Raises:
        JobFailed: the inputs don't fit, or the emulator refuses the binary.
    """
    graph = loaded.graph
    samples = _drawn(graph) if inputs is None else _samples(graph, inputs)
    try:
        answers = run_graph(loaded.binary, graph, samples, children)
    except (TargetError, BinaryError) as error:
        raise JobFailed(api.JOB_FAILURE_TYPE_RUNTIME_CRASH, error.what, error.why) from error
    as_values = "--dequantize_outputs" in options.flags
    return {
        each.name: [to_values(each, answer[each.name]) if as_values else answer[each.name] for answer in answers]
        for each in graph.outputs
    }


def _drawn(graph: BinaryGraph) -> list[Feeds]:
    values = random_values(graph, None, seed=0)
    return [{each.name: to_integers(each, values[each.name]) for each in graph.inputs}]


def _samples(graph: BinaryGraph, inputs: Entries) -> list[Feeds]:
    names = [each.name for each in graph.inputs]
    if set(inputs) != set(names):
        raise _invalid(f"The model's inputs are {', '.join(names)}; the dataset has {', '.join(inputs) or 'none'}.")
    counts = {len(each) for each in inputs.values()}
    if counts != {max(counts)} or counts == {0}:
        raise _invalid("The dataset must have the same number of samples for every input, and at least one.")
    return [{each.name: _fed(each, inputs[each.name][at]) for each in graph.inputs} for at in range(counts.pop())]


def _fed(tensor: BinaryTensor, array: Array) -> Array:
    """An array as the binary takes it; values of a quantized tensor become its integers."""
    if list(array.shape) != tensor.dims:
        raise _invalid(f"The input {tensor.name} has the shape {tensor.dims}; the dataset has {list(array.shape)}.")
    dtype = numpy_type(tensor)
    if array.dtype == dtype:
        return array
    if tensor.encoding is not None and np.issubdtype(array.dtype, np.floating):
        return to_integers(tensor, array.astype(np.float64))
    raise _invalid(f"The input {tensor.name} has the type {dtype}; the dataset has {array.dtype}.")


def with_weakened(inputs: Entries, graph: BinaryGraph, name: str, share: float) -> Entries:
    """Inputs of which one differs less from sample to sample.

    Args:
        inputs: as they were sent.
        graph: whose they are.
        name: of the input; one that the graph hasn't stays as it is.
        share: of each sample's distance from the mean of all that is lost.
    """
    weak = dict(inputs)
    for tensor in (each for each in graph.inputs if each.name == name and name in inputs):
        values = [np.asarray(to_values(tensor, _fed(tensor, each)), np.float64) for each in inputs[name]]
        mean = np.mean(values, axis=0)
        weak[name] = [to_integers(tensor, each + share * (mean - each)) for each in values]
    return weak


def with_noise(outputs: Entries, graph: BinaryGraph, db: float) -> Entries:
    """Outputs with noise on them, the same for the same outputs.

    Args:
        outputs: as the binary gives them.
        graph: whose they are.
        db: SQNR that is left of each.
    """
    noisy: Entries = {}
    for number, tensor in enumerate(graph.outputs):
        rng = np.random.default_rng(number)
        noisy[tensor.name] = [_noisy(tensor, each, db, rng) for each in outputs[tensor.name]]
    return noisy


def _noisy(tensor: BinaryTensor, array: Array, db: float, rng: np.random.Generator) -> Array:
    values = np.asarray(array if np.issubdtype(array.dtype, np.floating) else to_values(tensor, array), np.float64)
    noise = rng.standard_normal(values.shape)
    power = np.sqrt(np.mean(values**2) / np.mean(noise**2)) * 10 ** (-db / 20)
    loud = values + noise * power
    return loud.astype(array.dtype) if np.issubdtype(array.dtype, np.floating) else to_integers(tensor, loud)


def read_entries(path: Path) -> Entries:
    """A dataset's arrays.

    Raises:
        JobFailed: it is no dataset.
    """
    try:
        with h5py.File(path, "r") as file:
            return {str(name): list(arrays) for name, arrays in h5_to_dataset_entries(file).items()}
    except Exception as error:  # HDF5 raises many kinds at a stranger's file
        raise _invalid("The dataset can't be read as HDF5 in the client's layout.") from error


def write_entries(path: Path, entries: Mapping[str, Sequence[Array]]) -> None:
    """Writes arrays as a dataset."""
    with h5py.File(path, "w") as file:
        dataset_entries_to_h5({name: list(arrays) for name, arrays in entries.items()}, file)


def _invalid(reason: str) -> JobFailed:
    return JobFailed(api.JOB_FAILURE_TYPE_INVALID_INPUTS, reason)

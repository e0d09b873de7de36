"""A context binary as AI Hub runs it: what is uploaded, what it is fed, and what its outputs stand for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qnn_sd.ai_hub import HubJob, HubModel, HubService, qairt_to_ask_for
from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor
from qnn_sd.binaries.found import Found, FoundBinary
from qnn_sd.binaries.loading import qairt_of
from qnn_sd.binaries.raw_node import numpy_type, to_integers, to_values, write_raw_model
from qnn_sd.cli.documents.verify_hub import HubForm
from qnn_sd.errors import BinaryError, HubJobError
from qnn_sd.in_words import shown
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.runner import Array, Feeds, Outputs

_BINARY = "model.bin"


@dataclass(frozen=True, eq=False)
class HubNetwork:
    """A component's context binary, which holds one graph.

    Attributes:
        name: of the component.
        binary: that has been read.
        graph: of it.
    """

    name: str
    binary: FoundBinary
    graph: BinaryGraph

    @property
    def qairt(self) -> str | None:
        """The QAIRT version that compiled it; None where it doesn't say."""
        return None if self.binary.info is None else qairt_of(self.binary.info)

    def integers(self, feeds: Feeds) -> Feeds:
        """Inputs as the binary takes them: rounded once, here."""
        return {each.name: to_integers(each, feeds[each.name]) for each in self.graph.inputs}

    def values(self, answer: Outputs) -> Outputs:
        """What the binary's outputs stand for, in its own order."""
        return {each.name: to_values(each, answer[each.name]) for each in self.graph.outputs}


def networks_of(found: Found, names: Sequence[str]) -> dict[str, HubNetwork]:
    """The networks of a bundle, or the one of a compiled component, by name.

    Args:
        found: what is in its folder.
        names: of the components that are wanted.

    Raises:
        BinaryError: one isn't there, or its binary holds several graphs.
    """
    networks = {}
    for name in names:
        binary = next((each for each in found.binaries if each.component in (None, name)), None)
        graphs = binary.info.graphs if binary is not None and binary.info is not None else []
        if binary is None or len(graphs) != 1:
            raise BinaryError(
                f"{found.place} has {len(graphs)} graphs of {name} where one is expected",
                hint=f"Delete {found.place} and run the command again: it will be made anew.",
            )
        networks[name] = HubNetwork(name, binary, graphs[0])
    return networks


def upload(network: HubNetwork, form: HubForm, service: HubService) -> HubModel:
    """Uploads a binary, once by its content.

    Args:
        network: whose.
        form: the binary itself, or an EPContext ONNX around it.
        service: where to.

    Raises:
        HubServiceError: the service can't be reached, or it is too large.
    """
    if form == "bin":
        return service.upload(network.binary.path, network.name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, network.name)
        folder.mkdir()
        write_raw_model(network.graph, _BINARY, folder / MODEL_FILE)
        (folder / _BINARY).symlink_to(network.binary.path.resolve())
        return service.upload(folder, network.name)


def inputs_of(network: HubNetwork, samples: Sequence[Feeds]) -> dict[str, list[Array]]:
    """A job's inputs: by name an array for each sample, in the binary's own types and order."""
    integers = [network.integers(each) for each in samples]
    return {each.name: [feeds[each.name] for feeds in integers] for each in network.graph.inputs}


def outputs_of_job(
    network: HubNetwork, calls: int, downloaded: Mapping[str, Sequence[Array]], job: HubJob
) -> list[Outputs]:
    """A device's outputs as values, for each input.

    Args:
        network: that ran.
        calls: how many inputs there were.
        downloaded: by output, an array for each input: the binary's integers, or values that AI Hub made of them.
        job: for messages.

    Raises:
        HubJobError: one is missing, of another shape or type, or there are more or fewer than inputs.
    """
    values: dict[str, list[Array]] = {}
    for tensor in network.graph.outputs:
        if tensor.name not in downloaded:
            listed = ", ".join(shown(each) for each in downloaded) or "none"
            raise _unfit(network, job, f"The output {tensor.name} isn't among them: {listed}.")
        if not isinstance(downloaded[tensor.name], list | tuple):
            raise _unfit(network, job, f"The output {tensor.name} is no list of arrays, one for each input.")
        arrays = [np.asarray(each) for each in downloaded[tensor.name]]
        if len(arrays) != calls:
            raise _unfit(network, job, f"The output {tensor.name} is there {len(arrays)} times, for {calls} inputs.")
        values[tensor.name] = [_as_values(network, tensor, each, job) for each in arrays]
    return [{name: arrays[number] for name, arrays in values.items()} for number in range(calls)]


def _as_values(network: HubNetwork, tensor: BinaryTensor, array: Array, job: HubJob) -> Array:
    if list(array.shape) != tensor.dims:
        raise _unfit(
            network, job, f"The output {tensor.name} has shape {list(array.shape)}, the binary's has {tensor.dims}."
        )
    if array.dtype == numpy_type(tensor):
        return to_values(tensor, array)
    if array.dtype.kind == "f":
        # AI Hub has made values of the integers itself.
        return array.astype(np.float32)
    raise _unfit(network, job, f"The output {tensor.name} is of {array.dtype}, the binary's of {tensor.dtype}.")


def _unfit(network: HubNetwork, job: HubJob, why: str) -> HubJobError:
    return HubJobError(
        f"The job's outputs aren't those of {network.name}",
        why=f"{why} The job: {job.url}",
        hint="Was another model uploaded under this name? qnn-sd hub jobs lists the jobs with their links.",
    )


def job_options(network: HubNetwork, service: HubService) -> str:
    """The options of a job that runs a binary: libraries that load it.

    Raises:
        HubServiceError: AI Hub has none.
    """
    qairt = "" if network.qairt is None else qairt_to_ask_for(service, network.qairt)
    return f"--qairt_version {qairt}" if qairt else ""

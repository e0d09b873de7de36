"""What the emulator and the CPU answer to the inputs that a device gets; kept, since it takes long at full size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qnn_sd import qnn_provider
from qnn_sd.artifact import Recipe, artifact_folder, load_or_build
from qnn_sd.binaries.run import run_graph
from qnn_sd.cli.hub_network import HubNetwork
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.reference import check_reference, outputs_of, reference_session
from qnn_sd.runner import Outputs
from qnn_sd.verification import QDQ_AGAINST_FLOAT, VerificationInput, require_finite

_STAGE, _FILE = "outputs", "outputs.npz"
_SOURCES = ("binaries", "reference.py", "qnn_provider.py")


@dataclass(frozen=True, eq=False)
class ComponentOfBuild:
    """A component of a build, with what it is verified with.

    Attributes:
        model: name of the model config.
        soc: whose binary it is.
        network: its context binary.
        folders: of its float graph and its QDQ graph, by ``float`` and ``qdq``.
        keys: of the artifacts that it is made of, by ``float``, ``qdq``, ``binary`` and ``verification``.
        inputs: what is run.
        emulator_seconds: what the emulator took for them when the build was verified.
    """

    model: str
    soc: str
    network: HubNetwork
    folders: Mapping[str, Path]
    keys: Mapping[str, str]
    inputs: Sequence[VerificationInput]
    emulator_seconds: float

    def recipe(self, kind: str, settings: Mapping[str, Any]) -> Recipe:
        """Of the outputs that something gives for its inputs.

        Args:
            kind: what runs: ``float``, ``qdq``, ``binary`` or ``silicon``, of which the last two run the binary.
            settings: what else decides the outputs.
        """
        of = "binary" if kind == "silicon" else kind
        tools = tool_versions(_SOURCES) if kind == "silicon" else {**tool_versions(_SOURCES), **qnn_provider.versions()}
        return Recipe(
            _STAGE,
            f"{self.model}.{self.name}.{self.soc if of == 'binary' else kind}",
            {of: self.keys[of], "verification": self.keys["verification"]},
            {"kind": kind, "inputs": len(self.inputs), **settings},
            tools,
        )

    @property
    def name(self) -> str:
        """Of the component."""
        return self.network.name


def cpu_outputs(component: ComponentOfBuild, kind: str, cache: Path) -> list[Outputs]:
    """What a graph computes on the CPU, as ONNX defines it.

    Args:
        component: whose.
        kind: ``float`` or ``qdq``.
        cache: folder of the artifacts.

    Raises:
        VerificationError: NaN or infinity in an output, or this ONNX Runtime's runs are no reference.
    """

    def compute() -> list[Outputs]:
        check_reference()
        session = reference_session(component.folders[kind] / MODEL_FILE)
        outputs = [outputs_of(session, one.feeds) for one in component.inputs]
        graph = f"the {'float model' if kind == 'float' else 'QDQ graph'}"
        require_finite(component.name, component.inputs, outputs, graph, QDQ_AGAINST_FLOAT.hint)
        return outputs

    return kept_outputs(cache, component.recipe(kind, {}), compute)


def emulator_outputs(component: ComponentOfBuild, cache: Path) -> list[Outputs]:
    """What the binary computes on the emulator.

    Args:
        component: whose.
        cache: folder of the artifacts.

    Raises:
        BinaryError: a tensor of it can't be fed here.
        TargetError: the emulator refuses it, or crashes.
    """

    def compute() -> list[Outputs]:
        network = component.network
        integers = [network.integers(one.feeds) for one in component.inputs]
        return [network.values(each) for each in run_graph(network.binary, network.graph, integers)]

    return kept_outputs(cache, component.recipe("binary", {}), compute)


def has_emulator_outputs(component: ComponentOfBuild, cache: Path) -> bool:
    """Whether the emulator's answer was kept."""
    return artifact_folder(cache, component.recipe("binary", {})).exists()


def kept_outputs(
    cache: Path,
    recipe: Recipe,
    compute: Callable[[], Sequence[Outputs]],
    metadata: Mapping[str, Any] | None = None,
) -> list[Outputs]:
    """Outputs that were kept, or that are computed and kept now.

    Args:
        cache: folder of the artifacts.
        recipe: of the outputs.
        compute: gives them.
        metadata: what else is kept of them.
    """

    def build(folder: Path) -> Mapping[str, Any]:
        answers = compute()
        stacked = {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}
        np.savez(folder / _FILE, allow_pickle=False, **stacked)
        return metadata or {}

    return read_outputs(load_or_build(cache, recipe, build).folder)


def read_outputs(folder: Path) -> list[Outputs]:
    """What ``kept_outputs`` wrote."""
    with np.load(folder / _FILE, allow_pickle=False) as stored:
        stacked = {name: stored[name] for name in stored.files}
    count = len(next(iter(stacked.values())))
    return [{name: rows[number] for name, rows in stacked.items()} for number in range(count)]

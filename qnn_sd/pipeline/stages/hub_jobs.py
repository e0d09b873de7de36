"""Jobs at Qualcomm AI Hub that compile QDQ graphs: what they are told, and that they run side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from qnn_sd.ai_hub import CloudDevice, CompileWork, HubJob, HubService, LinkWork
from qnn_sd.ai_hub.model_folder import clean_folder
from qnn_sd.artifact import Artifact
from qnn_sd.config import DeviceProfile
from qnn_sd.onnx_files import MODEL_FILE, load_structure
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.compile_stage import DEFAULT_VTCM_MB
from qnn_sd.pipeline.stages.hub_source import HubSource, graph_to_send

Target = Literal["qnn_context_binary", "qnn_dlc"]


@dataclass(frozen=True)
class HubOrder:
    """What AI Hub is to compile with.

    Attributes:
        service: the account.
        device: one that has the SoC.
        qairt: release of QAIRT, such as ``2.50``: that of the libraries on the phone, or an older one.
        source: which form of the graphs is sent.
        linked: whether DLCs are made first, and linked to context binaries.
        deadline_s: how long to wait for its jobs, in seconds.
    """

    service: HubService
    device: CloudDevice
    qairt: str
    source: HubSource
    linked: bool
    deadline_s: float

    @property
    def compiler(self) -> str:
        """Who compiles, for messages."""
        return "the stand-in" if self.service.is_stand_in else "AI Hub"

    @property
    def suffix(self) -> str:
        """What the names of artifacts end in: what the stand-in makes is not AI Hub's."""
        return "hub-stand-in" if self.service.is_stand_in else "hub"

    @property
    def origin(self) -> dict[str, Any]:
        """For a manifest: who compiled, for which device, with what."""
        by = "qnn-sd's stand-in for Qualcomm AI Hub, not AI Hub" if self.service.is_stand_in else "Qualcomm AI Hub"
        return {
            "compiled_by": by,
            "stand_in": self.service.is_stand_in,
            "device": self.device.name,
            "chipsets": list(self.device.chipsets),
            "qairt": self.qairt,
            "source": self.source,
            "linked": self.linked,
        }


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted.

    Attributes:
        job: at AI Hub.
        options: what it was told.
        int8_operands: how many second operands of products its graph has in int8 in the place of int16.
    """

    job: HubJob
    options: str
    int8_operands: int = 0


def run_jobs(
    context: BuildContext,
    graphs: Mapping[str, Artifact],
    floats: Mapping[str, Artifact],
    profile: DeviceProfile,
    order: HubOrder,
) -> dict[str, list[Submitted]]:
    """Sends graphs and runs their jobs: those of all components side by side.

    Args:
        context: of the build.
        graphs: QDQ graph of each component.
        floats: float graph of each, where these are sent; else empty.
        profile: the SoC.
        order: how.

    Returns:
        By component its jobs, all of which have ended well: one that compiled it, and where DLCs are linked one that
        linked.

    Raises:
        HubServiceError: AI Hub can't be reached, or refuses a graph.
        HubJobError: a job failed.
        HubDeadlineError: a job didn't end in time; the same call goes on with it.
    """
    order.service.refuse_too_large({name: (floats.get(name) or qdq).folder for name, qdq in graphs.items()})
    compiled = {name: _compile(context, name, qdq, floats.get(name), profile, order) for name, qdq in graphs.items()}
    order.service.wait([each.job for each in compiled.values()], order.deadline_s)
    if not order.linked:
        return {name: [each] for name, each in compiled.items()}
    options = link_options(profile, order.qairt)
    linked: dict[str, Submitted] = {}
    for name, each in compiled.items():
        work = LinkWork((order.service.target_model(each.job),), order.device, options, _label(context, name))
        linked[name] = Submitted(order.service.submit(work), options, each.int8_operands)
    order.service.wait([each.job for each in linked.values()], order.deadline_s)
    return {name: [each, linked[name]] for name, each in compiled.items()}


def _label(context: BuildContext, component: str) -> str:
    return f"{context.model.name} {component}"


def _compile(
    context: BuildContext,
    component: str,
    qdq: Artifact,
    floats: Artifact | None,
    profile: DeviceProfile,
    order: HubOrder,
) -> Submitted:
    """Sends a graph and submits its job, which runs while the next graph is sent."""
    label, target = _label(context, component), _target(order)
    with (
        graph_to_send(order.source, qdq, floats, profile) as (source, encodings, narrowed),
        tempfile.TemporaryDirectory(prefix="qnn-sd-hub-") as scratch,
    ):
        model = order.service.upload(clean_folder(source / MODEL_FILE, Path(scratch, component), encodings), label)
    graph = load_structure(qdq.folder).graph
    options = compile_options(component, graph, profile, order.qairt, target)
    work = CompileWork(model, order.device, options, label, _input_specs(graph))
    return Submitted(order.service.submit(work), options, narrowed)


def _target(order: HubOrder) -> Target:
    return "qnn_dlc" if order.linked else "qnn_context_binary"


def _input_specs(graph: onnx.GraphProto) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each input, as AI Hub's client takes them."""
    specs = {}
    for value in graph.input:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        specs[value.name] = (tuple(dim.dim_value for dim in kind.shape.dim), dtype)
    return specs


def compile_options(component: str, graph: onnx.GraphProto, profile: DeviceProfile, qairt: str, target: Target) -> str:
    """What a compile job is told.

    Args:
        component: becomes the graph's name in the result.
        graph: its QDQ graph, whose inputs and outputs keep their names.
        profile: the SoC.
        qairt: release of QAIRT.
        target: what is made of it.
    """
    words = ["--target_runtime", target, "--qairt_version", qairt]
    # Without it outputs are called output_0 and so on.
    words += ["--output_names", ",".join(value.name for value in graph.output)]
    ends = (*graph.input, *graph.output)
    if any(value.type.tensor_type.elem_type == onnx.TensorProto.INT64 for value in ends):
        words.append("--truncate_64bit_io")
    # A DLC isn't laid out for a chip yet: its link job is told how.
    settings = _htp_settings(profile) if target == "qnn_context_binary" else []
    return " ".join([*words, "--qnn_options", ";".join([f"context_enable_graphs={component}", *settings])])


def link_options(profile: DeviceProfile, qairt: str) -> str:
    """What a link job is told.

    Args:
        profile: the SoC.
        qairt: release of QAIRT.
    """
    return f"--qairt_version {qairt} --qnn_options {';'.join(_htp_settings(profile))}"


def _htp_settings(profile: DeviceProfile) -> list[str]:
    """The level and the on-chip memory that the local compiler is told."""
    settings = [f"default_graph_htp_optimizations=O={profile.optimization_mode}"]
    if profile.vtcm_mb < DEFAULT_VTCM_MB:
        settings.append(f"default_graph_htp_vtcm_size={profile.vtcm_mb}")
    return settings

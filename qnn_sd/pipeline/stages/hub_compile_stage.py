"""QDQ ONNX → context binaries that Qualcomm AI Hub compiles, beside those of the local compiler.

Their artifacts have names and keys of their own, and say which jobs made them: a binary from the cloud is never taken
for one that was compiled here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import onnx

from qnn_sd.ai_hub import CloudDevice, CompileWork, HubJob, HubService, LinkWork
from qnn_sd.ai_hub.model_folder import clean_folder
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.binaries.delivered import Asked, wrap_delivered
from qnn_sd.compile import CONTEXT_FILE, DLC_FILE
from qnn_sd.config import DeviceProfile
from qnn_sd.onnx_files import MODEL_FILE, load_structure
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.bundle_stage import DLC_FOLDER
from qnn_sd.pipeline.stages.compile_stage import DEFAULT_VTCM_MB
from qnn_sd.pipeline.stages.hub_source import HubSource, graph_to_send

CACHE_KEY_SOURCES = (
    *("binaries/delivered.py", "binaries/raw_node.py", "compile/narrow_operands.py", "config/htp_versions.py"),
    *("pipeline/stages/hub_compile_stage.py", "pipeline/stages/hub_source.py"),
)
# The name that ONNX Runtime gives the file.
BINARY_FILE = "model_ctx_qnn.bin"
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


def compile_at_hub(
    context: BuildContext,
    graphs: Mapping[str, Artifact],
    floats: Mapping[str, Artifact],
    profile: DeviceProfile,
    order: HubOrder,
) -> dict[str, Artifact]:
    """Context binaries of components, compiled side by side at AI Hub; what is in the cache isn't sent.

    Nothing is known of one until it is verified.

    Args:
        context: of the build.
        graphs: QDQ graph of each component.
        floats: float graph of each, where these are sent with encodings; else empty.
        profile: the SoC.
        order: how.

    Returns:
        By component.

    Raises:
        HubServiceError: AI Hub can't be reached, or refuses a graph.
        HubJobError: a job failed.
        HubDeadlineError: a job didn't end in time; the same call goes on with it.
        BinaryError: what came back isn't what was asked for.
    """
    recipes = {name: _recipe(context, name, qdq, profile, order) for name, qdq in graphs.items()}
    ahead = [name for name, recipe in recipes.items() if not context.dry_run and not context.store.has(recipe)]
    jobs = _run_jobs(context, {name: graphs[name] for name in ahead}, floats, profile, order) if ahead else {}
    made = {}
    for name, recipe in recipes.items():
        fetch = partial(_fetch, name, graphs[name], profile, order, jobs.get(name, []))
        made[name] = context.store.get_or_build(recipe, name, fetch)
    return made


@dataclass(frozen=True)
class _Submitted:
    """A job, what it was told, and how many operands its graph has in int8."""

    job: HubJob
    options: str
    int8_operands: int = 0


def _recipe(context: BuildContext, component: str, qdq: Artifact, profile: DeviceProfile, order: HubOrder) -> Recipe:
    settings = profile.model_dump(include={"soc_model", "htp_arch", "optimization_mode"})
    vtcm = {"vtcm_mb": profile.vtcm_mb} if profile.vtcm_mb < DEFAULT_VTCM_MB else {}
    return Recipe(
        "compile",
        f"{context.model.name}.{component}.{profile.soc}.{order.suffix}",
        {"qdq": qdq.key},
        {**settings, **vtcm, **order.origin},
        tool_versions(CACHE_KEY_SOURCES),
        context.work(component, "hub", detail=f"{profile.soc}, AI Hub, level {profile.optimization_mode}"),
    )


def _run_jobs(
    context: BuildContext,
    graphs: Mapping[str, Artifact],
    floats: Mapping[str, Artifact],
    profile: DeviceProfile,
    order: HubOrder,
) -> dict[str, list[_Submitted]]:
    """All jobs of components, in the order in which they ran; those of one kind run side by side."""
    target: Target = "qnn_dlc" if order.linked else "qnn_context_binary"
    compiled: dict[str, _Submitted] = {}
    for name, qdq in graphs.items():
        label = f"{context.model.name} {name}"
        with (
            graph_to_send(order.source, qdq, floats.get(name), profile) as (source, encodings, narrowed),
            tempfile.TemporaryDirectory(prefix="qnn-sd-hub-") as scratch,
        ):
            model = order.service.upload(clean_folder(source / MODEL_FILE, Path(scratch, name), encodings), label)
        graph = load_structure(qdq.folder).graph
        options = compile_options(name, graph, profile, order.qairt, target)
        work = CompileWork(model, order.device, options, label, _input_specs(graph))
        compiled[name] = _Submitted(order.service.submit(work), options, narrowed)
    order.service.wait([each.job for each in compiled.values()], order.deadline_s)
    if not order.linked:
        return {name: [each] for name, each in compiled.items()}
    linked: dict[str, _Submitted] = {}
    options = link_options(profile, order.qairt)
    for name, each in compiled.items():
        dlc = order.service.target_model(each.job)
        link = LinkWork((dlc,), order.device, options, f"{context.model.name} {name}")
        linked[name] = _Submitted(order.service.submit(link), options)
    order.service.wait([each.job for each in linked.values()], order.deadline_s)
    return {name: [each, linked[name]] for name, each in compiled.items()}


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
    """What a link job is told."""
    return f"--qairt_version {qairt} --qnn_options {';'.join(_htp_settings(profile))}"


def _htp_settings(profile: DeviceProfile) -> list[str]:
    """The level and the on-chip memory that the local compiler is told."""
    settings = [f"default_graph_htp_optimizations=O={profile.optimization_mode}"]
    if profile.vtcm_mb < DEFAULT_VTCM_MB:
        settings.append(f"default_graph_htp_vtcm_size={profile.vtcm_mb}")
    return settings


def _fetch(
    component: str,
    qdq: Artifact,
    profile: DeviceProfile,
    order: HubOrder,
    submitted: list[_Submitted],
    folder: Path,
) -> dict[str, Any]:
    """Downloads what the last job made, checks it and wraps it; what went before it is kept beside it."""
    *before, last = submitted
    for each in before:
        (folder / DLC_FOLDER).mkdir(exist_ok=True)
        order.service.download_model(each.job, folder / DLC_FOLDER / DLC_FILE)
    binary = folder / BINARY_FILE
    got = order.service.download_model(last.job, binary)
    if got != binary:
        shutil.move(got, binary)
    asked = Asked(
        component,
        load_structure(qdq.folder).graph,
        profile.soc_model,
        profile.htp_arch,
        order.qairt,
        "the stand-in" if order.service.is_stand_in else "AI Hub",
        f"Nothing of it was kept. What was compiled is on the job's page, {last.job.url}. Without --via it is done here.",
    )
    info = wrap_delivered(binary, folder / CONTEXT_FILE, asked)
    return {
        "context_binary_bytes": binary.stat().st_size,
        "optimization_mode": info.graphs[0].optimization_level or profile.optimization_mode,
        "compiler_crashes": [],
        "int8_operands": submitted[0].int8_operands,
        "hub": {
            **order.origin,
            "build_id": info.build_id,
            "jobs": [
                {"kind": each.job.kind, "id": each.job.id, "url": each.job.url, "options": each.options}
                for each in submitted
            ],
        },
    }

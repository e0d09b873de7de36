"""QDQ ONNX → context binaries that Qualcomm AI Hub compiles, beside those of the local compiler.

Their artifacts have names and keys of their own, and say which jobs made them: a binary from the cloud is never taken
for one that was compiled here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.binaries.delivered import Asked, wrap_delivered
from qnn_sd.compile import CONTEXT_FILE, DLC_FILE
from qnn_sd.config import DeviceProfile
from qnn_sd.onnx_files import load_structure
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.bundle_stage import DLC_FOLDER
from qnn_sd.pipeline.stages.compile_stage import DEFAULT_VTCM_MB
from qnn_sd.pipeline.stages.hub_jobs import HubOrder, Submitted, run_jobs

CACHE_KEY_SOURCES = (
    *("binaries/delivered.py", "binaries/raw_node.py", "compile/narrow_operands.py", "config/htp_versions.py"),
    *("pipeline/stages/hub_compile_stage.py", "pipeline/stages/hub_jobs.py", "pipeline/stages/hub_source.py"),
)
# The name that ONNX Runtime gives the file.
BINARY_FILE = "model_ctx_qnn.bin"


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
    jobs = run_jobs(context, {name: graphs[name] for name in ahead}, floats, profile, order) if ahead else {}
    made = {}
    for name, recipe in recipes.items():
        fetch = partial(_fetch, name, graphs[name], profile, order, jobs.get(name, []))
        made[name] = context.store.get_or_build(recipe, name, fetch)
    return made


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


def _fetch(
    component: str,
    qdq: Artifact,
    profile: DeviceProfile,
    order: HubOrder,
    submitted: Sequence[Submitted],
    folder: Path,
) -> dict[str, Any]:
    """Downloads what the last job made, checks it and wraps it; a DLC that it was linked from is kept beside it."""
    *before, last = submitted
    for each in before:
        order.service.download_model(each.job, folder / DLC_FOLDER / DLC_FILE)
    binary = folder / BINARY_FILE
    shutil.move(order.service.download_model(last.job, binary), binary)
    info = wrap_delivered(
        binary,
        folder / CONTEXT_FILE,
        Asked(
            component,
            load_structure(qdq.folder).graph,
            profile.soc_model,
            profile.htp_arch,
            order.qairt,
            order.compiler,
            f"Nothing of it was kept. Its job's page is {last.job.url}. Without --via hub it is compiled here.",
        ),
    )
    return {
        "context_binary_bytes": binary.stat().st_size,
        "optimization_mode": info.graphs[0].optimization_level or profile.optimization_mode,
        "compiler_crashes": [],
        "int8_operands": last.int8_operands,
        "hub": {
            **order.origin,
            "build_id": info.build_id,
            "jobs": [
                {"kind": each.job.kind, "id": each.job.id, "url": each.job.url, "options": each.options}
                for each in submitted
            ],
        },
    }

"""QDQ ONNX → context binaries, for components and SoCs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qnn_sd import qnn_provider
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.compile import Children, compile_component
from qnn_sd.config import DeviceProfile, joint_name
from qnn_sd.pipeline.artifact_store import ParallelBuild, tool_versions
from qnn_sd.pipeline.context import BuildContext

# With the rule which HTP gets which form of a graph.
CACHE_KEY_SOURCES = ("compile", "qnn_provider.py", "config/htp_versions.py")
# What a binary asks for by itself, whatever its SoC has; on a chip with less the runtime refuses it (5005).
DEFAULT_VTCM_MB = 4
# One file for several SoCs: those that it is for.
Socs = tuple[DeviceProfile, ...]


def compile_binaries(context: BuildContext, graphs: Mapping[str, Artifact], socs: Socs) -> dict[str, Artifact]:
    """Context binaries of components, as many at a time as there are cores and memory for.

    Nothing is known of one until it is verified.

    Args:
        context: of the build.
        graphs: QDQ graph of each component.
        socs: what each binary is for: a SoC, or several that one file serves.

    Returns:
        By component.

    Raises:
        CompileError: the compiler refused a graph or crashed.
    """
    children = Children()
    builds = {component: _build(context, component, qdq, socs, children) for component, qdq in graphs.items()}
    return context.store.get_or_build_in_parallel(builds, "compiling", children.close)


def _build(context: BuildContext, component: str, qdq: Artifact, socs: Socs, children: Children) -> ParallelBuild:
    profile, *further = socs
    settings = profile.model_dump(include={"soc_model", "htp_arch", "optimization_mode"})
    others = tuple((each.soc_model, each.htp_arch) for each in further)
    name, vtcm_mb = joint_name(socs), _vtcm_mb(socs)
    recipe = Recipe(
        "compile",
        f"{context.model.name}.{component}.{name}",
        {"qdq": qdq.key},
        {
            **settings,
            **({"further_socs": [list(each) for each in others]} if others else {}),
            **({"vtcm_mb": vtcm_mb} if vtcm_mb else {}),
        },
        {**tool_versions(CACHE_KEY_SOURCES), **qnn_provider.versions()},
        context.work(component, detail=f"{name}, level {profile.optimization_mode}"),
    )
    build = partial(
        compile_component,
        qdq.folder,
        profile.soc_model,
        profile.htp_arch,
        profile.optimization_mode,
        report=context.console.warn,
        further_socs=others,
        vtcm_mb=vtcm_mb,
        children=children,
    )
    return ParallelBuild(recipe, build)


def _vtcm_mb(socs: Socs) -> int | None:
    """What the compiler is told, where a chip has less on-chip memory than its binaries ask for by default."""
    least = min(each.vtcm_mb for each in socs)
    return least if least < DEFAULT_VTCM_MB else None

"""QDQ ONNX → context binary, for one component and SoC."""

from __future__ import annotations

from qnn_sd import qnn_provider
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.compile import compile_component
from qnn_sd.config import DeviceProfile
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext

CACHE_KEY_SOURCES = ("compile", "qnn_provider.py")


def compile_binary(context: BuildContext, component: str, qdq: Artifact, profile: DeviceProfile) -> Artifact:
    """A component's context binary for a SoC; nothing is known of it until it is verified.

    Raises:
        CompileError: the compiler refused the graph or crashed.
    """
    settings = profile.model_dump(include={"soc_model", "htp_arch", "optimization_mode"})
    recipe = Recipe(
        "compile",
        f"{context.model.name}.{component}.{profile.soc}",
        {"qdq": qdq.key},
        settings,
        {**tool_versions(CACHE_KEY_SOURCES), **qnn_provider.versions()},
        context.work(component, detail=f"{profile.soc}, level {profile.optimization_mode}"),
    )
    return context.store.get_or_build(
        recipe,
        component,
        lambda folder: compile_component(qdq.folder, folder=folder, report=context.console.warn, **settings),
    )

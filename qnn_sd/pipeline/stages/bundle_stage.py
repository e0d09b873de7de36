"""Components → bundle: everything that a target needs, in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.bundle import assemble
from qnn_sd.bundle_manifest import Bundle, Kind, Part, Soc
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.compile.shared_weights import wrapper_name
from qnn_sd.config import DeviceProfile, joint_name
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.verification import ComponentVerification

# In an artifact of the compile stage: a DLC that its context binary was linked from.
DLC_FOLDER = "dlc"
CACHE_KEY_SOURCES = ("bundle", "bundle_manifest.py", "tokenizer_files.py")
Verified = Mapping[str, ComponentVerification]


def bundle_binaries(
    context: BuildContext,
    profiles: tuple[DeviceProfile, ...],
    graphs: Mapping[str, tuple[Artifact, Artifact]],
    verified: Verified | None,
    name: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Artifact:
    """Context binaries for a SoC or several, with the QDQ graphs for what can't run on the HTP.

    Args:
        context: of the build.
        profiles: the SoCs that every file serves.
        graphs: QDQ graph and compiled binary, by component.
        verified: what was measured of each; None if verifying was switched off.
        name: what tells the bundle from others of the model; None for the SoCs' names.
        origin: for the manifest, of binaries that were compiled elsewhere: where and how.
    """
    parts: dict[str, Part] = {}
    sources: dict[str, Artifact] = {}
    for component, (qdq, compiled) in graphs.items():
        sources |= {f"{component}/cpu": qdq, f"{component}/htp": compiled}
        if (dlc := compiled.file(DLC_FOLDER)).is_dir():
            # What the binary was linked from; a phone doesn't get it.
            sources[f"{component}/{DLC_FOLDER}"] = Artifact(dlc, compiled.key)
        parts[component] = Part(
            file=f"{component}/htp/{CONTEXT_FILE}",
            kind="context_binary",
            fallback=f"{component}/cpu/{MODEL_FILE}",
            scheme=qdq.metadata.get("scheme"),
        )
    soc, *further = [_soc(each) for each in profiles]
    info = context.bundle_info(parts, soc, verified).model_copy(update={"further_socs": tuple(further)})
    return _bundle(context, name or joint_name(profiles), info, sources, origin)


def size_info(
    context: BuildContext,
    profile: DeviceProfile,
    size: str,
    sizes: Sequence[str],
    of_each: Sequence[str],
    of_all: Sequence[str],
    verified: Verified | None,
) -> Bundle:
    """What is said of one size in a folder that holds several.

    Args:
        context: of the build at that size.
        profile: the SoC.
        size: its name.
        sizes: the names of all.
        of_each: components that have a wrapper for each size.
        of_all: components that are the same at every size.
        verified: what was measured of each at that size; None if verifying was switched off.
    """
    files = {name: wrapper_name(size) for name in of_each} | dict.fromkeys(of_all, CONTEXT_FILE)
    parts = {name: Part(file=f"{name}/{files[name]}", kind="context_binary") for name in sorted(files)}
    shared = tuple(each for each in sizes if each != size)
    return context.bundle_info(parts, _soc(profile), verified).model_copy(update={"shared_sizes": shared})


def _soc(profile: DeviceProfile) -> Soc:
    return Soc(name=profile.soc, dl_mode=profile.dl_mode, soc_model=profile.soc_model, htp_arch=profile.htp_arch)


def bundle_cpu_graphs(
    context: BuildContext, kind: Kind, graphs: Mapping[str, Artifact], verified: Verified | None
) -> Artifact:
    """Float or QDQ graphs for ONNX Runtime's CPU provider.

    Args:
        context: of the build.
        kind: what the graphs are.
        graphs: by component.
        verified: what was measured of each; None if verifying was switched off.
    """
    parts = {
        name: Part(file=f"{name}/{MODEL_FILE}", kind=kind, scheme=graph.metadata.get("scheme"))
        for name, graph in graphs.items()
    }
    return _bundle(context, f"cpu-{kind}", context.bundle_info(parts, None, verified), graphs)


def _bundle(
    context: BuildContext,
    name: str,
    info: Bundle,
    sources: Mapping[str, Artifact],
    origin: Mapping[str, Any] | None = None,
) -> Artifact:
    if info.verification is None and not context.dry_run:
        context.console.warn(
            f"{info.verified}: nothing shows that these graphs compute what the checkpoint does. "
            "The bundle and every image of it say so."
        )
    inputs = {**{folder: source.key for folder, source in sources.items()}, **context.tokenizer_hashes}
    tools = tool_versions(CACHE_KEY_SOURCES)
    kinds = {part.kind for part in info.components.values()}
    variant = "binary" if "context_binary" in kinds else min(kinds)
    work = context.work(None, variant, of=info.components)
    recipe = Recipe("bundle", f"{context.model.name}.{name}", inputs, info.content, tools, work)

    def build(folder: Path) -> dict[str, Any]:
        assemble(folder, info, {name: source.folder for name, source in sources.items()}, context.checkpoint.tokenizer)
        return {} if origin is None else {"hub": dict(origin)}

    return context.store.get_or_build(recipe, "all", build)

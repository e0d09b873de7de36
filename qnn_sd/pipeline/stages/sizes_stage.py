"""Several sizes of a model, with each component's weights once: context binaries, their verification, the folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qnn_sd import qnn_provider
from qnn_sd.artifact import MANIFEST, Artifact, Recipe
from qnn_sd.bundle_manifest import TOKENIZER_FOLDER, Bundle
from qnn_sd.compile import SharedJob, compile_shared, run_shared
from qnn_sd.config import DeviceProfile
from qnn_sd.console import json_text
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.compile_stage import CACHE_KEY_SOURCES as COMPILE_SOURCES
from qnn_sd.pipeline.stages.verify_stage import likely_cause_in_versions
from qnn_sd.verification import (
    BINARY_AGAINST_QDQ,
    QDQ_AGAINST_FLOAT,
    VerificationInput,
    binary_gate,
    require_finite,
    require_gate,
    sqnr_summary,
)

CACHE_KEY_SOURCES = COMPILE_SOURCES
_BUNDLE_SOURCES = ("pipeline/stages/sizes_stage.py", "bundle_manifest.py", "tokenizer_files.py")


def compile_sizes(
    context: BuildContext, component: str, graphs: Mapping[str, Artifact], profile: DeviceProfile
) -> Artifact:
    """A component's binary for a SoC that holds several sizes, with a wrapper for each.

    Args:
        context: of the build, at the first size.
        component: its name.
        graphs: QDQ graph of each size.
        profile: the SoC.

    Raises:
        CompileError: the compiler refused one of them, or crashed.
    """
    settings = profile.model_dump(include={"soc_model", "htp_arch", "optimization_mode"})
    recipe = Recipe(
        "compile",
        f"{context.model.name}.{component}.{profile.soc}.{'+'.join(graphs)}",
        {size: qdq.key for size, qdq in graphs.items()},
        {**settings, "sizes": list(graphs)},
        {**tool_versions(CACHE_KEY_SOURCES), **qnn_provider.versions()},
        context.work(component, detail=f"{profile.soc}, level {profile.optimization_mode}, {len(graphs)} sizes"),
    )
    job = _job(graphs, profile, profile.optimization_mode)
    build = partial(compile_shared, job, report=context.console.warn)
    return context.store.get_or_build(recipe, component, build)


def verify_sizes(
    context: BuildContext,
    component: str,
    graphs: Mapping[str, Artifact],
    compiled: Artifact,
    recorded: Mapping[str, Artifact],
    inputs: Mapping[str, Callable[[], Sequence[VerificationInput]]],
    profile: DeviceProfile,
) -> Artifact:
    """Holds each size's compiled graph on the emulator against its QDQ graph.

    Args:
        context: of the build, at the first size.
        component: its name.
        graphs: QDQ graph of each size.
        compiled: their binary.
        recorded: what each size is verified with.
        inputs: reads of it what the emulator is asked for.
        profile: the SoC.

    Returns:
        Its metadata is a ``SqnrSummary`` for each size.

    Raises:
        VerificationError: a gate refuses one.
    """
    recipe = Recipe(
        "verify",
        f"{context.model.name}.{component}.{profile.soc}.{'+'.join(graphs)}",
        {"binary": compiled.key, **{size: each.key for size, each in recorded.items()}},
        {"trajectories": context.model.verification.images},
        {**tool_versions(CACHE_KEY_SOURCES), **qnn_provider.versions()},
        context.work(component, "binary", {"inputs": len(graphs)}, profile.soc),
    )

    def build(_folder: Path) -> dict[str, Any]:
        job = _job(graphs, profile, compiled.metadata["optimization_mode"])
        labelled = {size: read() for size, read in inputs.items()}
        samples = {size: [one.feeds for one in each] for size, each in labelled.items()}
        found: dict[str, Any] = {}
        for size, (expected, outputs) in run_shared(job, compiled.folder, samples).items():
            name = f"{component} at {size}"
            require_finite(name, labelled[size], expected, "the QDQ graph", QDQ_AGAINST_FLOAT.hint)
            require_finite(name, labelled[size], outputs, "the compiled graph", BINARY_AGAINST_QDQ.hint)
            summary = sqnr_summary(labelled[size], expected, outputs)
            require_gate(binary_gate(profile.htp_arch), name, summary, *likely_cause_in_versions())
            found[size] = summary.model_dump(mode="json")
        return found

    return context.store.get_or_build(recipe, component, build)


def _job(graphs: Mapping[str, Artifact], profile: DeviceProfile, level: int) -> SharedJob:
    sources = {size: qdq.folder for size, qdq in graphs.items()}
    return SharedJob(sources, profile.soc_model, profile.htp_arch, level)


def bundle_sizes(
    context: BuildContext, profile: DeviceProfile, bundles: Mapping[str, Bundle], compiled: Mapping[str, Artifact]
) -> Artifact:
    """A folder with each component's binary, a wrapper for each size, and what each size's bundle says of itself.

    Args:
        context: of the build, at the first size.
        profile: the SoC.
        bundles: what is said of each size.
        compiled: binary of each component.
    """
    recipe = Recipe(
        "bundle",
        f"{context.model.name}.{profile.soc}.{'+'.join(bundles)}",
        {**{name: each.key for name, each in compiled.items()}, **context.tokenizer_hashes},
        {size: each.content for size, each in bundles.items()},
        tool_versions(_BUNDLE_SOURCES),
        context.work(None, "binary", of=list(compiled)),
    )

    def build(folder: Path) -> dict[str, Any]:
        for name, made in compiled.items():
            (folder / name).mkdir()
            for path in sorted(made.folder.iterdir()):
                if path.name != MANIFEST:
                    shutil.copyfile(path, folder / name / path.name)
        (folder / TOKENIZER_FOLDER).mkdir()
        for name, text in context.checkpoint.tokenizer.files.items():
            (folder / TOKENIZER_FOLDER / name).write_text(text, "utf-8", newline="\n")
        for size, info in bundles.items():
            (folder / bundle_file(size)).write_text(json_text(info.content), "utf-8")
        return {}

    return context.store.get_or_build(recipe, "all", build)


def bundle_file(size: str) -> str:
    """The file that describes one size."""
    return f"bundle-{size}.json"

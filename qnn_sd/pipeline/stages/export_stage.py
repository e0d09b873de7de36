"""checkpoint → float ONNX, for one component."""

from __future__ import annotations

from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.export import export_component, model_metadata
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext

CACHE_KEY_SOURCES = ("export", "onnx_files.py")


def export_graph(context: BuildContext, name: str) -> Artifact:
    """A component's float graph.

    Raises:
        CheckpointError: files that are missing, damaged or don't fit each other.
        UnsupportedModelError: a config that asks for something that isn't built.
        SettingError: a size that the architecture can't have, or no such component.
    """
    checkpoint, export, model = context.checkpoint, context.component(name).export, context.model
    # Of the other components' configs, a graph depends on the VAE's factor and the text's length.
    metadata = model_metadata(checkpoint)
    chunks = context.prompt_chunks if context.component(name).prompted else 1
    size = {
        "height": model.height,
        "width": model.width,
        "factor": metadata.factor,
        "tokens": metadata.tokens * chunks,
    }
    recipe = Recipe(
        "export",
        f"{model.name}.{name}",
        context.hashes_of(checkpoint.files(export.part)),
        {**size, **checkpoint.settings(export.part)},
        tool_versions(CACHE_KEY_SOURCES, "onnx"),
        context.work(name),
    )
    made = context.store.get_or_build(
        recipe, name, lambda folder: export_component(checkpoint, export, model.height, model.width, folder, chunks)
    )
    for line in made.metadata.get("remarks", ()):
        context.console.say_once(line)
    return made

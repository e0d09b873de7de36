"""From checkpoint to bundle: the stages in their order, and the store of what they make."""

from qnn_sd.pipeline.artifact_store import ArtifactStore
from qnn_sd.pipeline.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline

__all__ = ["TEXT_TO_IMAGE_COMPONENTS", "ArtifactStore", "BuildPipeline"]

"""From checkpoint to bundle: the stages in their order, and the store of what they make."""

from qnn_sd.pipeline.components import COMPONENTS, TEXT_TO_IMAGE_COMPONENTS
from qnn_sd.pipeline.pipeline import BuildPipeline

__all__ = ["COMPONENTS", "TEXT_TO_IMAGE_COMPONENTS", "BuildPipeline"]

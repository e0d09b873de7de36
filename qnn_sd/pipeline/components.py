"""The components of a model: the one place that a new component is added to.

A row says how a component is exported and where its recorded inputs come from. Every stage goes by these rows; the
generation loop alone knows what the components are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qnn_sd.export import TEXT_ENCODER, UNET, VAE_DECODER, VAE_ENCODER, ComponentExport
from qnn_sd.quantize.calibration import DeriveFeeds, RecordedOn
from qnn_sd.recording_runner import Sample
from qnn_sd.runner import Feeds, named_output


@dataclass(frozen=True)
class Component:
    """One network of a model on its way through all stages.

    Attributes:
        export: how its float graph is built.
        recorded_on: what its inputs are recorded on, to calibrate, to round and to verify.
        derive_feeds: makes its inputs from other components' calls; None for one that the generation loop calls.
        text_to_image: whether an image from a prompt needs it.
        sized: whether its graph depends on the image's size.
        prompted: whether its graph depends on the number of a prompt's chunks.
    """

    export: ComponentExport
    recorded_on: RecordedOn
    derive_feeds: DeriveFeeds | None = None
    text_to_image: bool = True
    sized: bool = True
    prompted: bool = False

    @property
    def name(self) -> str:
        """As ``--component`` takes it."""
        return self.export.name


def _encoder_feeds(calls: Mapping[str, Sequence[Sample]]) -> list[Feeds]:
    """Images that the VAE decoder answered, for the encoder: float32 [1, 3, height, width], -1 to 1."""
    return [
        {"image": np.clip(named_output("vae_decoder", sample.outputs, "sample"), -1, 1)}
        for sample in calls.get("vae_decoder", ())
    ]


STABLE_DIFFUSION_1 = (
    Component(TEXT_ENCODER, "texts", sized=False),
    Component(UNET, "steps", prompted=True),
    Component(VAE_DECODER, "images"),
    # For images as input.
    Component(VAE_ENCODER, "images", _encoder_feeds, text_to_image=False),
)
EXPORTS = {component.name: component.export for component in STABLE_DIFFUSION_1}
COMPONENTS = tuple(component.name for component in STABLE_DIFFUSION_1)
TEXT_TO_IMAGE_COMPONENTS = tuple(component.name for component in STABLE_DIFFUSION_1 if component.text_to_image)

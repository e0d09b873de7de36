"""Which outputs the generation loop reads of each component, and which inputs differ between guidance passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ComponentIO:
    """Names in a component's graph, as diffusers and transformers call them.

    Attributes:
        output: the output that the generation loop reads.
        guidance_inputs: the inputs that differ between the passes of classifier-free guidance; empty for a component
            that runs without guidance.
    """

    output: str
    guidance_inputs: tuple[str, ...] = ()


COMPONENT_IO: Mapping[str, ComponentIO] = {
    "text_encoder": ComponentIO("last_hidden_state"),
    "unet": ComponentIO("noise_pred", guidance_inputs=("encoder_hidden_states",)),
    "vae_decoder": ComponentIO("sample"),
}


def guidance_inputs(component: str) -> tuple[str, ...]:
    """The inputs of a component that differ between guidance passes; empty where it runs without guidance."""
    return COMPONENT_IO[component].guidance_inputs if component in COMPONENT_IO else ()

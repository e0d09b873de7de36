"""Which network of a diffusion model a graph is, by its inputs and outputs.

A binary's file name says nothing: people download ``unet.bin`` that is a text encoder. Its shapes do.
"""

from __future__ import annotations

from collections.abc import Sequence

from qnn_sd.binaries.binary_info import BinaryGraph, BinaryTensor

# Channels of an image, of a latent (4; 16 of newer models; 8 where mean and variance come together), and of the
# latents of inpainting (with mask and image).
_IMAGE, _LATENTS = 3, frozenset((4, 8, 9, 16))
# Outputs of a ControlNet for each UNet of Stable Diffusion: twelve of its down blocks, one of the middle.
_CONTROLNET_OUTPUTS = 9
_TEXT_TOKENS = 77


def network_of(graph: BinaryGraph) -> str | None:
    """The network that a graph seems to be, such as ``unet``; None where it looks like none of a diffusion model.

    The names are those of this project's components, and ``controlnet`` and ``upscaler``.
    """
    maps_in, maps_out = _maps(graph.inputs), _maps(graph.outputs)
    if not graph.inputs or not graph.outputs:
        return None
    if not maps_in and not maps_out:
        return "text_encoder" if _is_text_encoder(graph) else None
    text = [each for each in graph.inputs if len(each.dims) == 3]
    if maps_in and len(graph.inputs) >= 3 and text:
        return "controlnet" if len(maps_out) >= _CONTROLNET_OUTPUTS else "unet" if maps_out else None
    if len(maps_in) != 1 or len(graph.inputs) != 1 or len(maps_out) != 1:
        return None
    (channels, pixels), (channels_out, pixels_out) = maps_in[0], maps_out[0]
    if channels_out == _IMAGE and pixels_out > pixels:
        return "vae_decoder" if channels in _LATENTS else "upscaler" if channels == _IMAGE else None
    return "vae_encoder" if channels == _IMAGE and channels_out in _LATENTS and pixels_out < pixels else None


def _is_text_encoder(graph: BinaryGraph) -> bool:
    ids = all(each.dims and each.dims[-1] == _TEXT_TOKENS and len(each.dims) <= 2 for each in graph.inputs)
    return ids and any(len(each.dims) == 3 and each.dims[-2] == _TEXT_TOKENS for each in graph.outputs)


def _maps(tensors: Sequence[BinaryTensor]) -> list[tuple[int, int]]:
    """Channels and pixels of each image-like tensor."""
    found = []
    for each in tensors:
        if len(each.dims) == 4:
            _, first, second, third = each.dims
            channels = first if each.layout == "NCHW" else third
            found.append((channels, first * second * third // max(1, channels)))
    return found

"""Nets whose time on a chip somebody has published, with random weights: no checkpoint, no torch.

Layers, shapes, resolutions and the form are those of the ONNX that AI Hub Models exports, as far as the quantizer and
the HTP take it; where they don't, a comment says what stands instead.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nets.classifiers import convnext_base, convnext_tiny, densenet121, efficientnet_b4, mobilenet_v2
from nets.images import depth_anything_v2, nafnet_denoise, rangenet, srgan
from nets.layers import Layers
from nets.transformers import swin_tiny, vit_b_16, whisper_small_encoder
from qnn_sd.export.graph import Graph

__all__ = ["BUILDERS", "Layers", "Published", "published", "write_net"]

BUILDERS: Mapping[str, Callable[[Layers], None]] = {
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b4": efficientnet_b4,
    "densenet121": densenet121,
    "convnext_tiny": convnext_tiny,
    "convnext_base": convnext_base,
    "vit_b_16": vit_b_16,
    "swin_tiny": swin_tiny,
    "whisper_small_encoder": whisper_small_encoder,
    "depth_anything_v2": depth_anything_v2,
    "srgan": srgan,
    "rangenet": rangenet,
    "nafnet_denoise": nafnet_denoise,
}


@dataclass(frozen=True)
class Published:
    """What is published of a net.

    Attributes:
        kind: what it is made of, in a few words.
        parameters: how many it has, or None.
        ms: milliseconds a call on the SoC, by runtime.
    """

    kind: str
    parameters: float | None
    ms: Mapping[str, float]


def published(soc: str) -> dict[str, Published]:
    """What is published of each net, by its name.

    Args:
        soc: name of the device profile.

    Raises:
        KeyError: nothing is published of this SoC.
    """
    table = tomllib.loads(Path(__file__).with_name("published.toml").read_text("utf-8"))
    return {
        name: Published(table["nets"][name]["kind"], table["nets"][name].get("parameters"), ms)
        for name, ms in table["ms"][soc].items()
    }


def write_net(name: str, folder: Path) -> int:
    """Writes a net's float graph.

    Args:
        name: one of ``BUILDERS``.
        folder: existing empty folder.

    Returns:
        How many parameters the net has, BatchNorms counted as such.
    """
    with Graph(name, folder) as g:
        net = Layers(g)
        BUILDERS[name](net)
    return net.parameters

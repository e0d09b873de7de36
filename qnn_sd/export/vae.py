"""AutoencoderKL's two halves as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qnn_sd.export.blocks.activation import UNET_ACTIVATIONS
from qnn_sd.export.blocks.attention import AttentionNames, AttentionWeights, self_attention
from qnn_sd.export.blocks.basic import add, conv
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.blocks.resnet import downsample, resnet, upsample
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value
from qnn_sd.export.strict_config import StrictConfig

EPSILON = 1e-6  # fixed in diffusers' Encoder and Decoder

_READ: dict[str, Any] = {
    "act_fn": "silu",
    "block_out_channels": (64,),
    "down_block_types": ("DownEncoderBlock2D",),
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "mid_block_add_attention": True,
    "norm_num_groups": 32,
    "out_channels": 3,
    "scaling_factor": 0.18215,
    "up_block_types": ("UpDecoderBlock2D",),
    "use_post_quant_conv": True,
    "use_quant_conv": True,
}
_ONLY: dict[str, tuple[Any, ...]] = {
    "latents_mean": (None,),
    "latents_std": (None,),
    "shift_factor": (None, 0),
}
_IGNORED = ("sample_size", "force_upcast")

# Checkpoints from before diffusers 0.14 name the attention's layers otherwise.
_OLD_NAMES = AttentionNames("query", "key", "value", "proj_attn")


class VaeBuilder:
    """Builds the VAE's decoder and encoder from the config they share.

    Args:
        raw: the parsed ``config.json``.

    Raises:
        UnsupportedModelError: the config asks for something that isn't built; named.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        options = StrictConfig("AutoencoderKL", raw, _READ, _ONLY, _IGNORED)
        self.options = options
        self.channels = list(options["block_out_channels"])
        self.act = options.choice("act_fn", UNET_ACTIVATIONS)
        levels = len(self.channels)
        for width in self.channels:
            options.refuse_uneven(width, "norm_num_groups", options["norm_num_groups"])
        options.kinds("down_block_types", levels, ("DownEncoderBlock2D",))
        options.kinds("up_block_types", levels, ("UpDecoderBlock2D",))

    @property
    def factor(self) -> int:
        """Pixels per latent pixel along one side."""
        return int(2 ** (len(self.channels) - 1))

    def build_decoder(self, g: Graph, weights: TensorSource, height: int, width: int) -> None:
        """Writes ``latent`` [1, L, height, width] → ``sample`` [1, 3, factor*height, factor*width].

        The latent is what diffusers' ``decode`` takes: already divided by the scaling factor.
        The sample is in -1..1, give or take what the network overshoots.
        """
        options = self.options
        latent_channels = options["latent_channels"]
        x = g.input("latent", (1, latent_channels, height, width))
        if options["use_post_quant_conv"]:
            x = conv(g, weights, "post_quant_conv", x, latent_channels, kernel=1)
        x = conv(g, weights, "decoder.conv_in", x, self.channels[-1])
        x = self._middle(g, weights, "decoder.mid_block", x)
        for index, channels in enumerate(reversed(self.channels)):
            prefix = f"decoder.up_blocks.{index}"
            for layer in range(options["layers_per_block"] + 1):
                x = self._resnet(g, weights, f"{prefix}.resnets.{layer}", x, channels)
            if index + 1 < len(self.channels):
                x = upsample(g, weights, f"{prefix}.upsamplers.0", x)
        x = self._norm_out(g, weights, "decoder", x)
        g.output(conv(g, weights, "decoder.conv_out", x, options["out_channels"]), "sample")

    def build_encoder(self, g: Graph, weights: TensorSource, height: int, width: int) -> None:
        """Writes ``image`` [1, 3, factor*height, factor*width] in -1..1 → ``moments`` [1, 2L, height, width].

        The moments are mean and log variance of the latent, not yet scaled.
        """
        options = self.options
        x = g.input("image", (1, options["in_channels"], height * self.factor, width * self.factor))
        x = conv(g, weights, "encoder.conv_in", x, self.channels[0])
        for level, channels in enumerate(self.channels):
            prefix = f"encoder.down_blocks.{level}"
            for layer in range(options["layers_per_block"]):
                x = self._resnet(g, weights, f"{prefix}.resnets.{layer}", x, channels)
            if level + 1 < len(self.channels):
                x = downsample(g, weights, f"{prefix}.downsamplers.0", x, padding=0)
        x = self._middle(g, weights, "encoder.mid_block", x)
        x = self._norm_out(g, weights, "encoder", x)
        moments = 2 * options["latent_channels"]
        x = conv(g, weights, "encoder.conv_out", x, moments)
        if options["use_quant_conv"]:
            x = conv(g, weights, "quant_conv", x, moments, kernel=1)
        g.output(x, "moments")

    def _norm_out(self, g: Graph, weights: TensorSource, half: str, x: Value) -> Value:
        name, groups = f"{half}.conv_norm_out", self.options["norm_num_groups"]
        return group_norm(g, name, x, affine_of(weights, name, x.shape[1]), groups, EPSILON, self.act)

    def _resnet(self, g: Graph, weights: TensorSource, prefix: str, x: Value, channels: int) -> Value:
        groups = self.options["norm_num_groups"]
        return resnet(g, weights, prefix, x, channels, groups=groups, epsilon=EPSILON, act=self.act)

    def _middle(self, g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
        x = self._resnet(g, weights, f"{prefix}.resnets.0", x, x.shape[1])
        if self.options["mid_block_add_attention"]:
            x = self.attention(g, weights, f"{prefix}.attentions.0", x)
        return self._resnet(g, weights, f"{prefix}.resnets.1", x, x.shape[1])

    def attention(self, g: Graph, weights: TensorSource, prefix: str, x: Value) -> Value:
        """Self-attention over the pixels, one head, with a residual."""
        channels, groups = x.shape[1], self.options["norm_num_groups"]
        modern = AttentionNames()
        names = modern if weights.has(f"{prefix}.{modern.query}.weight") else _OLD_NAMES
        affine = affine_of(weights, f"{prefix}.group_norm", channels)
        layer = AttentionWeights.read(
            weights,
            prefix,
            channels,
            channels,
            1,
            names=names,
            biases=True,
            query_affine=affine,
            context_affine=affine,
        )
        normed = group_norm(g, f"{prefix}.group_norm", x, None, groups, EPSILON)
        return add(g, self_attention(g, prefix, layer, 1, normed), x, f"{prefix}.sum")

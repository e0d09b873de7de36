"""UNet2DConditionModel as ONNX: every layout that diffusers' config describes with SD 1.x's blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qnn_sd.errors import SettingError
from qnn_sd.export.blocks.activation import UNET_ACTIVATIONS
from qnn_sd.export.blocks.basic import concat, conv
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.blocks.resnet import downsample, resnet, upsample
from qnn_sd.export.blocks.time import time_embedding
from qnn_sd.export.blocks.transformer import spatial_transformer
from qnn_sd.export.checkpoint import TensorSource
from qnn_sd.export.graph import Graph, Value
from qnn_sd.export.strict_config import StrictConfig

_READ: dict[str, Any] = {
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 1280,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "flip_sin_to_cos": True,
    "freq_shift": 0.0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-5,
    "norm_num_groups": 32,
    "out_channels": 4,
    "time_cond_proj_dim": None,
    "time_embedding_dim": None,
    "transformer_layers_per_block": 1,
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "use_linear_projection": False,
}
# Options that would change the graph: only the values that leave it as built are accepted.
_ONLY: dict[str, tuple[Any, ...]] = {
    "addition_embed_type": (None,),
    "addition_embed_type_num_heads": (64,),
    "addition_time_embed_dim": (None,),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_scale_factor": (1,),
    # diffusers refuses a number here: it still goes by attention_head_dim.
    "num_attention_heads": (None,),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "projection_class_embeddings_input_dim": (None,),
    "resnet_out_scale_factor": (1,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "reverse_transformer_layers_per_block": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
}
_PER_LEVEL = ("attention_head_dim", "cross_attention_dim", "layers_per_block", "transformer_layers_per_block")
# Options without effect on a float32 graph of a given size, what averaging its weights left there,
# and what is read elsewhere.
_IGNORED = (
    *("sample_size", "dropout", "upcast_attention", "decay", "inv_gamma", "min_decay", "optimization_step", "power"),
    *("update_after_step", "use_ema_warmup", "prediction_type"),
)


class UnetBuilder:
    """Builds the UNet from its config.

    Args:
        raw: the parsed ``config.json``.

    Raises:
        UnsupportedModelError: the config asks for something that isn't built; named.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        options = StrictConfig("UNet2DConditionModel", raw, _READ, _ONLY, _IGNORED, _PER_LEVEL)
        self.options = options
        self.channels = list(options["block_out_channels"])
        levels = len(self.channels)
        self.act = options.choice("act_fn", UNET_ACTIVATIONS)
        options.choice("mid_block_type", ("UNetMidBlock2DCrossAttn",))
        self.down_types = options.kinds("down_block_types", levels, ("CrossAttnDownBlock2D", "DownBlock2D"))
        self.up_types = options.kinds("up_block_types", levels, ("CrossAttnUpBlock2D", "UpBlock2D"))
        self.layers = options.per_level("layers_per_block", levels)
        self.depth = options.per_level("transformer_layers_per_block", levels)
        # In UNet2DConditionModel attention_head_dim is, by an old mistake, the number of heads.
        self.heads = options.per_level("attention_head_dim", levels)
        self.context = options.per_level("cross_attention_dim", levels)
        self.groups = options["norm_num_groups"]
        for width, heads in zip(self.channels, self.heads, strict=True):
            options.refuse_uneven(width, "norm_num_groups", self.groups)
            options.refuse_uneven(width, "attention_head_dim", heads)
        if len(set(self.context)) != 1:
            options.refuse("cross_attention_dim", self.context, ("one width for all levels",))

    def build(self, g: Graph, weights: TensorSource, height: int, width: int, tokens: int) -> None:
        """Writes the graph.

        Inputs: ``sample`` [1, in, height, width], ``timestep`` [1], ``encoder_hidden_states``
        [1, tokens, D] and, for LCM checkpoints, ``timestep_cond`` [1, time_cond_proj_dim].
        Output: ``noise_pred`` [1, out, height, width]. All float32.

        Args:
            height: of the latent.
            width: of the latent.
            tokens: of the text embedding.

        Raises:
            SettingError: the latent can't be halved as often as the UNet has levels.
        """
        step = 2 ** (len(self.channels) - 1)
        if height % step or width % step:
            raise SettingError(
                f"A latent of {width}x{height} doesn't fit this UNet",
                why=f"It halves the size {len(self.channels) - 1} times, so both sides must be multiples of {step}.",
                hint=f"Choose an image size whose latent has sides in steps of {step}.",
            )
        options = self.options
        sample = g.input("sample", (1, options["in_channels"], height, width))
        timestep = g.input("timestep", (1,))
        self._context = g.input("encoder_hidden_states", (1, tokens, self.context[0]))
        condition = None
        if options["time_cond_proj_dim"] is not None:
            condition = g.input("timestep_cond", (1, options["time_cond_proj_dim"]))
        base = self.channels[0]
        self._time = time_embedding(
            g,
            weights,
            timestep,
            base,
            options["time_embedding_dim"] or 4 * base,
            self.act,
            options["flip_sin_to_cos"],
            options["freq_shift"],
            condition,
        )
        x = conv(g, weights, "conv_in", sample, base)
        skips = [x]
        for level, kind in enumerate(self.down_types):
            prefix = f"down_blocks.{level}"
            for layer in range(self.layers[level]):
                x = self._resnet(g, weights, f"{prefix}.resnets.{layer}", x, self.channels[level])
                if kind == "CrossAttnDownBlock2D":
                    x = self._transformer(g, weights, f"{prefix}.attentions.{layer}", x, level)
                skips.append(x)
            if level + 1 < len(self.channels):
                x = downsample(g, weights, f"{prefix}.downsamplers.0", x, padding=1)
                skips.append(x)
        last = len(self.channels) - 1
        x = self._resnet(g, weights, "mid_block.resnets.0", x, self.channels[-1])
        x = self._transformer(g, weights, "mid_block.attentions.0", x, last)
        x = self._resnet(g, weights, "mid_block.resnets.1", x, self.channels[-1])
        for index, kind in enumerate(self.up_types):
            level = last - index
            prefix = f"up_blocks.{index}"
            for layer in range(self.layers[level] + 1):
                with g.scope(prefix):
                    joined = concat(g, [x, skips.pop()], 1)
                x = self._resnet(g, weights, f"{prefix}.resnets.{layer}", joined, self.channels[level])
                if kind == "CrossAttnUpBlock2D":
                    x = self._transformer(g, weights, f"{prefix}.attentions.{layer}", x, level)
            if level:
                x = upsample(g, weights, f"{prefix}.upsamplers.0", x)
        affine = affine_of(weights, "conv_norm_out", x.shape[1])
        x = group_norm(g, "conv_norm_out", x, affine, self.groups, options["norm_eps"], self.act)
        g.output(conv(g, weights, "conv_out", x, options["out_channels"]), "noise_pred")

    def _resnet(self, g: Graph, weights: TensorSource, prefix: str, x: Value, channels: int) -> Value:
        return resnet(
            g,
            weights,
            prefix,
            x,
            channels,
            groups=self.groups,
            epsilon=self.options["norm_eps"],
            act=self.act,
            time=self._time,
        )

    def _transformer(self, g: Graph, weights: TensorSource, prefix: str, x: Value, level: int) -> Value:
        return spatial_transformer(
            g,
            weights,
            prefix,
            x,
            self._context,
            heads=self.heads[level],
            layers=self.depth[level],
            groups=self.groups,
            linear_projection=self.options["use_linear_projection"],
        )

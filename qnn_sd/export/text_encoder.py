"""CLIPTextModel as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from qnn_sd.export.blocks.activation import CLIP_ACTIVATIONS, activation
from qnn_sd.export.blocks.attention import AttentionNames, AttentionWeights, token_attention
from qnn_sd.export.blocks.basic import add, mul
from qnn_sd.export.blocks.linear import Weights, linear
from qnn_sd.export.blocks.norm import affine_of, layer_norm
from qnn_sd.export.checkpoint import Array, TensorSource
from qnn_sd.export.graph import Graph, Value
from qnn_sd.export.strict_config import StrictConfig

_READ: dict[str, Any] = {
    "hidden_act": "quick_gelu",
    "hidden_size": 512,
    "intermediate_size": 2048,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 77,
    "num_attention_heads": 8,
    "num_hidden_layers": 12,
    "vocab_size": 49408,
}
_ONLY: dict[str, tuple[Any, ...]] = {
    "model_type": ("clip_text_model",),
    "add_cross_attention": (False,),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
}
# Options of training, of generation and of the pooled output, which Stable Diffusion doesn't use: transformers used to
# write all that any of its models has.
_IGNORED = (
    *("architectures", "attention_dropout", "bos_token_id", "dropout", "dtype", "eos_token_id"),
    *("gradient_checkpointing", "initializer_factor", "initializer_range", "output_attentions"),
    *("output_hidden_states", "pad_token_id", "projection_dim", "return_dict", "torch_dtype", "torchscript"),
    *("transformers_version", "use_cache", "begin_suppress_tokens", "chunk_size_feed_forward", "diversity_penalty"),
    *("id2label", "label2id", "length_penalty", "max_length", "min_length", "num_beam_groups", "num_beams"),
    *("num_return_sequences", "repetition_penalty", "sep_token_id", "temperature", "tie_word_embeddings", "top_k"),
    *("top_p", "typical_p", "use_bfloat16"),
)
# What masked scores get. -inf has no encoding, and -1e4 would leave the uint16 scores a step of 0.15; exp(-100) is zero
# beside any real score.
_MASKED = -100.0
_NAMES = AttentionNames("q_proj", "k_proj", "v_proj", "out_proj")


class _Unprefixed:
    """transformers 5 writes the tensors without ``text_model.``, everything before it with."""

    def __init__(self, weights: TensorSource) -> None:
        self._weights = weights
        old = "text_model."
        self._prefix = old if weights.has(f"{old}final_layer_norm.weight") else ""

    def has(self, name: str) -> bool:
        return self._weights.has(self._prefix + name)

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        return self._weights.get(self._prefix + name, shape)


class TextEncoderBuilder:
    """Builds the text encoder from its config.

    Args:
        raw: the parsed ``config.json``.

    Raises:
        UnsupportedModelError: the config asks for something that isn't built; named.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.options = StrictConfig("CLIPTextModel", raw, _READ, _ONLY, _IGNORED)
        self.act = self.options.choice("hidden_act", CLIP_ACTIVATIONS)

    @property
    def tokens(self) -> int:
        """Length of a prompt in tokens, start, end and padding included."""
        return int(self.options["max_position_embeddings"])

    def build(self, g: Graph, weights: TensorSource) -> None:
        """Writes ``input_ids`` [1, tokens] int32 → ``last_hidden_state`` [1, tokens, D] float32."""
        weights = _Unprefixed(weights)
        options = self.options
        width, tokens, epsilon = options["hidden_size"], self.tokens, options["layer_norm_eps"]
        ids = g.input("input_ids", (1, tokens), TensorProto.INT32)
        name = "embeddings.token_embedding"
        x = _looked_up(g, name, weights.get(f"{name}.weight", (options["vocab_size"], width)), ids)
        name = "embeddings.position_embedding.weight"
        positions = weights.get(name, (tokens, width)).reshape(1, tokens, width)
        x = add(g, x, g.constant(name, positions), "embeddings.sum")
        causal = np.triu(np.full((tokens, tokens), _MASKED, np.float32), 1)
        mask = g.constant("causal_mask", causal.reshape(1, tokens, tokens))
        for layer in range(options["num_hidden_layers"]):
            x = self._layer(g, weights, f"encoder.layers.{layer}", x, mask, epsilon)
        affine = affine_of(weights, "final_layer_norm", width)
        g.output(layer_norm(g, "final_layer_norm", x, affine, epsilon), "last_hidden_state")

    def _layer(self, g: Graph, weights: TensorSource, prefix: str, x: Value, mask: Value, epsilon: float) -> Value:
        width, inner, heads = x.shape[-1], self.options["intermediate_size"], self.options["num_attention_heads"]
        name = f"{prefix}.self_attn"
        affine = affine_of(weights, f"{prefix}.layer_norm1", width)
        attention = AttentionWeights.read(
            weights, name, width, width, heads, names=_NAMES, biases=True, query_affine=affine, context_affine=affine
        )
        normed = layer_norm(g, f"{prefix}.layer_norm1", x, None, epsilon)
        seen = token_attention(g, name, attention, heads, normed, mask)
        x = add(g, linear(g, f"{name}.out_proj", seen, attention.out), x, f"{name}.sum")
        name = f"{prefix}.mlp"
        affine = affine_of(weights, f"{prefix}.layer_norm2", width)
        normed = layer_norm(g, f"{prefix}.layer_norm2", x, None, epsilon)
        hidden = linear(g, f"{name}.fc1", normed, Weights.read(weights, f"{name}.fc1", inner, width).after(affine))
        with g.scope(name):
            hidden = activation(g, self.act, hidden)
        out = linear(g, f"{name}.fc2", hidden, Weights.read(weights, f"{name}.fc2", width, inner))
        return add(g, out, x, f"{name}.sum")


def _looked_up(g: Graph, name: str, table: Array, ids: Value) -> Value:
    """Rows of a table [N, D] by their numbers [1, tokens]: [1, tokens, D].

    Each is a row whose largest number is 1, times the row's size. Of such rows 8 bits are enough
    (``quantize/encodings/from_ranges.py``), and the table is the text encoder's largest tensor.
    """

    def rows(of: Array, constant: str, label: str) -> Value:
        shape = (*ids.shape, of.shape[1])
        return g.node("Gather", [g.constant(constant, of), ids], shape, label, axis=0)

    sizes: Array = np.maximum(table.max(axis=1, keepdims=True), -table.min(axis=1, keepdims=True))
    # A row of zeros, if there is one, stays zeros.
    alike: Array = np.divide(table, sizes, out=np.zeros(table.shape, np.float32), where=sizes > 0)
    return mul(g, rows(alike, f"{name}.weight", f"{name}.rows"), rows(sizes, f"{name}.sizes", f"{name}.size"), name)

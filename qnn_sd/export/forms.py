"""The forms that the HTP computes faithfully and cheaply, each with its reason and its switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Forms:
    """Which form each construct is written in. Every choice computes the same function in float.

    "Traffic" is what the HTP compiler's DDR summary says (``qnn_sd/compile/cost.py``); the figures
    are in ``docs/decisions.md``, and ``benchmarks/htp_cost.py`` prints one row a switch.

    Attributes:
        group_norm: ``pooled`` builds the statistics from average pools and never lays the tensor
            out anew: the least traffic, and the faster one on the emulator. ``layer_norm``
            takes them with LayerNormalization on [1, G, N] and applies the affine on [1, C, H*W].
        group_mean: how the pooled form gets from C channels to G groups and back. ``two_step``
            goes through [1, G, 1, 1] with two small matrices; ``matrix`` multiplies by one
            block-constant C x C matrix, whose bytes are read in every call.
        pool_at_once_up_to: with more pixels than this, the pooled form takes the mean of each row and then of
            the rows'. The HTP adds a pool's integers, less their zero point, in 32 bits: over 512x512
            pixels a channel wraps around whose mean is an eighth of the range away from zero.
        centred_below_mb: tensors up to this size are normalized from their centred copy, which then
            replaces them on chip; larger ones from themselves, so that the centred copy is only
            ever a tile on its way into the variance.
        time_in_norm: the time embedding is added inside the pooled norm, on [1, C, 1, 1], instead
            of to every pixel.
        fold_affine: a norm's gamma and beta go into the weights and biases of the linear layers
            that read it, which is exact and saves two passes over the tensor.
        fold_biases: attention leaves the key's bias out (it shifts all scores of a query alike,
            which softmax ignores) and adds the value's to the output's (the shares sum to one).
        heads: attention ``one_by_one``: each head's scores stay on chip, and each head has
            encodings of its own; or all heads ``together`` in one 4-D product.
        centred_values_above: with more keys than this, attention weighs the values' differences from their
            mean and adds the mean afterwards, which is exact, since the shares sum to one. On the HTP
            they don't: it rounds shares down, half a step on average, and with thousands of keys the
            halves come to percents. Of values whose sum is zero they take nothing.
        linear: linear layers on tokens as ``matmul`` or as 1x1 ``conv``.
        piece_above_mb: where the feed-forward's inner tensor (or the VAE's attention scores) is larger
            than this, what works token by token runs on pieces, so that no such tensor leaves
            the chip.
        tokens_per_piece: the size of such a piece.
        subpixel_above_mb: where the upsampled tensor is larger than this, "nearest neighbour, then 3x3 conv" is
            one conv at the lower resolution that makes the four pixels' channels, and a
            DepthToSpace: the same sums, and no upsampled copy of the input.
        flat_act_below: below this height or width, ``x * sigmoid(x)`` after a norm is computed on
            [1, C, H*W]. The HTP compiler of QAIRT 2.51 computes noise from the 4-D form at 9 to 12 rows
            (pooled, from the centred copy) and at 4 and 8 rows (``layer_norm``). The flat form is
            right at every size from 4 to 64, the 4-D form from 13 up.
        separate_affine_at: numbers of tokens at which an op stands between LayerNormalization and a
            product with constant weights: gamma and beta as a Mul and an Add of their own. With exactly
            16 rows the HTP compiler of QAIRT 2.51 computes noise without one (whatever the width;
            4, 8, 15, 17, 32 and more rows are right).
        token_sizes_apart: a token's embedding is a row whose largest number is 1 times the row's size. Of such rows
            8 bits are enough (``quantize/choose.py``), and the table is the text encoder's largest tensor.
        mask_value: what masked attention scores get. -inf has no encoding, and -1e4 would leave
            the uint16 scores a step of 0.15; exp(-100) is zero beside any real score.
    """

    group_norm: Literal["layer_norm", "pooled"] = "pooled"
    group_mean: Literal["two_step", "matrix"] = "two_step"
    pool_at_once_up_to: int = 65536
    centred_below_mb: float = 6.0
    time_in_norm: bool = True
    fold_affine: bool = True
    fold_biases: bool = True
    heads: Literal["one_by_one", "together"] = "one_by_one"
    centred_values_above: int = 128
    linear: Literal["matmul", "conv"] = "matmul"
    piece_above_mb: float = 8.0
    tokens_per_piece: int = 512
    subpixel_above_mb: float = 100.0
    flat_act_below: int = 16
    separate_affine_at: tuple[int, ...] = (16,)
    token_sizes_apart: bool = True
    mask_value: float = -100.0

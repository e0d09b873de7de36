"""Checkpoints whose numbers mean something only with the scales beside them: refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from qnn_sd.errors import UnsupportedModelError

# By the tensors that stand beside weights: ComfyUI's, PyTorch's, bitsandbytes', GPTQ's and AWQ's.
_KINDS = (
    (r"(^|\.)scaled_fp8$|\.(scale_weight|scale_input|comfy_quant)$", "in scaled fp8"),
    (r"\.(weight_scale(_inv|_2)?|input_scale|weight_zero_point)$", "quantized, with a scale beside each weight"),
    (
        r"\.(absmax|quant_map|nested_absmax|SCB|quant_state\..+|weight\.(absmax|quant_map|quant_state\..+))$",
        "quantized by bitsandbytes",
    ),
    (r"\.(qweight|qzeros)$", "quantized by GPTQ or AWQ"),
)


def refuse_quantized(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises for a file of quantized weights.

    Raises:
        UnsupportedModelError: naming the tensor that tells it.
    """
    for pattern, kind in _KINDS:
        for name in shapes:
            if re.search(pattern, name):
                raise UnsupportedModelError(
                    f"{path} is {kind}, which qnn-sd doesn't read",
                    why=f"It has {name}: its weights are numbers to be scaled.",
                    hint="Get the model in fp16 or fp32: qnn-sd quantizes for the phone itself.",
                )

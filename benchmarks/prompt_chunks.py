"""What longer prompts cost on the HTP: Stable Diffusion 1.5's transformers over text of 1, 2 and 3 chunks.

    python benchmarks/prompt_chunks.py [--soc qcs9075] [--chunks 1 2 3]

A spatial transformer at each width of the UNet for 512x512, random weights, stand-in encodings, compiled at level 3
with 77 tokens of text for each chunk. The last line adds up what the UNet's 16 transformers take more than over one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from htp_forms import transformer

from qnn_sd.compile.cost import Chip, measure
from qnn_sd.config import load_profile
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.quantize import quantize_with_stand_ins

TOKENS = 77
# Channels and side of the UNet's levels, and how many transformers it has there.
LEVELS = {(320, 64): 5, (640, 32): 5, (1280, 16): 5, (1280, 8): 1}


def milliseconds(channels: int, side: int, chunks: int, chip: Chip) -> float:
    """The compiler's estimate for one transformer."""
    shapes, block = transformer(channels, side)
    shapes = {**shapes, "c": (1, TOKENS * chunks, shapes["c"][2])}
    with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
        floats, qdq = Path(scratch) / "float", Path(scratch) / "qdq"
        floats.mkdir()
        qdq.mkdir()
        with Graph("block", floats) as g:
            g.output(block(g, {name: g.input(name, shape) for name, shape in shapes.items()}, RandomTensors(1)), "y")
        quantize_with_stand_ins(floats, qdq)
        estimate = measure(qdq, chip).estimate
    assert estimate is not None, "the profile says that the compiler has one"
    return estimate.ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soc", default="qcs9075")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    profile = load_profile(options.soc)
    chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb)
    print(
        f"{'channels':>8}{'side':>6}{'count':>7}" + "".join(f"{f'{n} chunks':>12}" for n in options.chunks), flush=True
    )
    more = dict.fromkeys(options.chunks, 0.0)
    for (channels, side), count in LEVELS.items():
        found = {chunks: milliseconds(channels, side, chunks, chip) for chunks in options.chunks}
        print(f"{channels:8}{side:6}{count:7}" + "".join(f"{ms:9.2f} ms" for ms in found.values()), flush=True)
        for chunks, ms in found.items():
            more[chunks] += count * (ms - found[options.chunks[0]])
    print(f"{'UNet, ms more':21}" + "".join(f"{ms:9.2f} ms" for ms in more.values()))


if __name__ == "__main__":
    main()

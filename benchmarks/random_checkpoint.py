"""A checkpoint of Stable Diffusion 1.5's shape with random weights: to try the whole pipeline at full size.

    python benchmarks/random_checkpoint.py FOLDER

Diffusers' layout, float16, 2.1 GB; seed 0. The noise schedule is the demo's, and so is the tokenizer, filled up with
tokens that no prompt has: prompts become fewer and other words than with the real one, and what it generates is
nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from sd15_shape import CONFIGS, TOKENS

from qnn_sd import resources
from qnn_sd.export import GraphSize, write_graph
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.pipeline.components import EXPORTS

# Of CLIP's tokenizer.
CLIP_TOKENS = 49_408
# Which components' tensors stand in which file.
PARTS = {
    "text_encoder": (("text_encoder",), "model.safetensors"),
    "unet": (("unet",), "diffusion_pytorch_model.safetensors"),
    "vae": (("vae_decoder", "vae_encoder"), "diffusion_pytorch_model.safetensors"),
}


class KeptTensors(RandomTensors):
    """Random tensors that are kept as they are handed out, in float16."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.kept: dict[str, np.ndarray[Any, Any]] = {}

    def get(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """A new random tensor, kept."""
        self.kept[name] = super().get(name, shape).astype(np.float16)
        return self.kept[name].astype(np.float32)


def write_tokenizer(folder: Path) -> None:
    """Writes the demo's tokenizer with as many tokens as CLIP's, which a text encoder of that size must have.

    Args:
        folder: is made; it must not exist.
    """
    shutil.copytree(resources.assets() / "tiny-sd" / "tokenizer", folder)
    vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
    vocabulary |= {f"<|unused{number}|>": number for number in range(len(vocabulary), CLIP_TOKENS)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")


def write_checkpoint(folder: Path) -> None:
    """Writes the checkpoint.

    Args:
        folder: is made; it must not exist.
    """
    demo = resources.assets() / "tiny-sd"
    folder.mkdir(parents=True)
    write_tokenizer(folder / "tokenizer")
    shutil.copytree(demo / "scheduler", folder / "scheduler")
    shutil.copy(demo / "model_index.json", folder)
    for part, (components, file) in PARTS.items():
        tensors = KeptTensors()
        for component in components:
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                write_graph(EXPORTS[component], CONFIGS[component], tensors, GraphSize(64, 64, TOKENS), Path(scratch))
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(CONFIGS[components[0]]), "utf-8")
        save_file(tensors.kept, folder / part / file)


if __name__ == "__main__":
    write_checkpoint(Path(sys.argv[1]))

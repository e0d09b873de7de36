"""Reads a component's config and weights from a folder in diffusers' layout; safetensors only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors
from numpy.typing import NDArray

from qnn_sd.errors import CheckpointError

# Names of the file with a component's weights, as diffusers and transformers write them.
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")

Array = NDArray[np.float32]


class TensorSource(Protocol):
    """Gives a checkpoint's tensors by name."""

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """The tensor of that name, float32, of exactly that shape."""

    def has(self, name: str) -> bool:
        """Whether there is a tensor of that name."""


def component_files(folder: Path) -> list[Path]:
    """The files that determine a component: its config and its weights.

    Raises:
        CheckpointError: one of them is missing, or the weights are a pickle.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise CheckpointError(
            f"{config} is missing",
            why="A checkpoint is a folder in diffusers' layout, with a config.json in each component's folder.",
            hint="Give the folder that holds model_index.json.",
        )
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [config, folder / name]
    pickles = sorted(path.name for path in folder.glob("*.bin")) + sorted(p.name for p in folder.glob("*.ckpt"))
    why = f"There is {pickles[0]}, a pickle: opening one runs whatever code is inside." if pickles else ""
    raise CheckpointError(f"{folder} has no weights in safetensors", why=why, hint=f"Provide {folder / _WEIGHTS[0]}.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: it is missing or not a JSON object.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing", hint="Is the checkpoint complete?") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read", why=str(error), hint="Is the checkpoint complete?") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object", hint="Is this a diffusers checkpoint?")
    return value


class SafetensorsFile:
    """The tensors of one ``.safetensors`` file, read one at a time from a memory map.

    Args:
        path: the file.

    Raises:
        CheckpointError: the file is truncated or its header lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safetensors.safe_open(path, framework="np")
            self._names = set(self._file.keys())
        except (OSError, safetensors.SafetensorError) as error:
            raise CheckpointError(
                f"{path} can't be read", why=f"{error}.", hint="Download or copy the file again: it is not whole."
            ) from error
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the file holds a tensor of that name."""
        return name in self._names

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """The tensor of that name as float32.

        Raises:
            CheckpointError: it is missing, of another shape, or not finite.
        """
        if name not in self._names:
            raise CheckpointError(
                f"{self.path} has no tensor {name!r}",
                why="The config beside it asks for one.",
                hint="Do config.json and the weights belong to the same model?",
            )
        found = tuple(self._file.get_slice(name).get_shape())
        if found != shape:
            raise CheckpointError(
                f"{name} in {self.path} has shape {list(found)}, not {list(shape)}",
                why="The config beside it implies the latter.",
                hint="Do config.json and the weights belong to the same model?",
            )
        array = np.asarray(self._file.get_tensor(name)).astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} in {self.path} holds NaN or infinity", hint="Get another copy of the file.")
        self._read.add(name)
        return array

    def refuse_unread(self, ignored: Iterable[str] = ()) -> None:
        """Raises for tensors that no block asked for: they belong to an option that wasn't built.

        Args:
            ignored: prefixes of tensors that belong to another component or carry no weights.

        Raises:
            CheckpointError: naming the first such tensors.
        """
        left = sorted(n for n in self._names - self._read if not n.startswith(tuple(ignored)))
        if left:
            raise CheckpointError(
                f"{self.path} has {len(left)} tensors that this architecture doesn't use",
                why=f"The first are {', '.join(left[:3])}.",
                hint="Is this a checkpoint of Stable Diffusion 1.x's architecture?",
            )


class RandomTensors:
    """Random weights of whatever shape is asked for: for full-size trials without a checkpoint.

    Weights are scaled to keep the activations' variance (He et al. 2015), norms get ones and
    zeros, so that a deep graph stays finite.

    Args:
        seed: of the generator; the same seed gives the same model.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self.tensors = 0
        self.parameters = 0

    def has(self, name: str) -> bool:  # noqa: ARG002
        """Whatever is asked for exists, under its modern name."""
        return True

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """A new random tensor."""
        self.tensors += 1
        self.parameters += int(np.prod(shape))
        if "norm" in name.split(".")[-2]:
            return np.full(shape, float(name.endswith("weight")), np.float32)
        fan_in = max(1, int(np.prod(shape[1:])))
        return self._rng.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)

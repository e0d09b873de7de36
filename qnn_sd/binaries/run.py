"""Runs a graph of anybody's context binary on the HTP emulator, in a child process."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qnn_sd.binaries.binary_info import BinaryGraph
from qnn_sd.binaries.children import run_child
from qnn_sd.binaries.found import FoundBinary
from qnn_sd.binaries.raw_node import onnx_type
from qnn_sd.compile.process import Children, last_lines
from qnn_sd.errors import BinaryError, TargetError
from qnn_sd.runner import Array, Feeds, Outputs

_TOKENS = 77
# Every vocabulary has so many: those of single letters come first.
_KNOWN_TOKENS = 256
_TRAINED_STEPS = 1000
_DEVIATIONS = 4


def run_graph(
    binary: FoundBinary, graph: BinaryGraph, samples: Sequence[Feeds], children: Children | None = None
) -> list[Outputs]:
    """What a graph answers to each sample, as the binary has it: quantized tensors are integers.

    Args:
        binary: the one that it is in, which has been read.
        graph: of it.
        samples: its inputs by name, in their own types.
        children: that the emulator's process is one of; None for one that only this call ends.

    Raises:
        BinaryError: a tensor of it can't be fed here.
        TargetError: the emulator refuses it, or crashes.
    """
    info = binary.info
    if info is None or info.soc_model is None or info.htp_arch is None:
        raise BinaryError(
            f"{binary.label} doesn't say which SoC it was compiled for",
            why="The emulator has to be told.",
            hint="It was compiled by an old QAIRT: compile it again.",
        )
    for tensor in (*graph.inputs, *graph.outputs):
        onnx_type(tensor)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _put_binary(binary, folder / "binary.bin")
        files = [folder / f"{number}.npz" for number in range(len(samples))]
        for file, feeds in zip(files, samples, strict=True):
            np.savez(file, allow_pickle=False, **feeds)
        request = {
            "folder": scratch,
            "graph": graph.model_dump(mode="json"),
            "soc_model": info.soc_model,
            "htp_arch": info.htp_arch,
            "samples": [str(file) for file in files],
        }
        code, printed = run_child("qnn_sd.binaries.run_child", request, children=children)
        if code:
            if code < 0 and len(info.graphs) > 1:
                raise TargetError(
                    f"The emulator crashes on {binary.label}, which holds {len(info.graphs)} graphs",
                    why="Files of several graphs that share their weights crash it, sound ones too.",
                    hint="Verify a binary of each graph alone; qnn-sd inspect reads this one.",
                )
            ended = f"It was ended by signal {-code}." if code < 0 else f"It ended with status {code}."
            raise TargetError(
                f"The emulator can't run {binary.label}",
                why=last_lines(printed.splitlines(), 2) or ended,
                hint="Is there enough memory (a full-size UNet needs 8 GB)? Else the binary is damaged: get it again.",
            )
        return [_loaded(folder / f"answer{number}.npz") for number in range(len(samples))]


def _put_binary(binary: FoundBinary, path: Path) -> None:
    """The binary under a plain name: a link to its file where it is all of it."""
    if binary.stored is None:
        path.write_bytes(binary.embedded or b"")
        return
    if binary.stored.start == 0:
        path.symlink_to(binary.path.resolve())
        return
    with binary.path.open("rb") as file:
        file.seek(binary.stored.start)
        path.write_bytes(file.read(binary.stored.size))


def _loaded(path: Path) -> Outputs:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def random_values(graph: BinaryGraph, network: str | None, seed: int) -> Feeds:
    """Seeded inputs that a graph can make something of, as values and not yet as its integers.

    Within the range of the input's encoding where there is one, else standard normal; token ids for what takes tokens,
    a sampling step for what takes one.

    Args:
        graph: to be fed.
        network: what it seems to be.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for tensor in graph.inputs:
        encoding, shape = tensor.encoding, tuple(tensor.dims)
        is_number = not tensor.dtype.startswith(("float", "ufixed", "sfixed"))
        if is_number and shape[-1:] == (_TOKENS,):
            feeds[tensor.name] = rng.integers(_KNOWN_TOKENS, size=shape)
        elif network in ("unet", "controlnet") and int(np.prod(shape)) == 1:
            step = float(rng.integers(_TRAINED_STEPS))
            bounds = (0, _TRAINED_STEPS) if encoding is None else (encoding.least or 0, encoding.greatest or step)
            feeds[tensor.name] = np.full(shape, np.clip(step, *bounds))
        elif encoding is not None and encoding.least is not None and encoding.greatest is not None:
            middle, half = (encoding.least + encoding.greatest) / 2, (encoding.greatest - encoding.least) / 2
            drawn = rng.normal(middle, half / _DEVIATIONS, shape)
            feeds[tensor.name] = np.clip(drawn, encoding.least, encoding.greatest)
        elif is_number:
            feeds[tensor.name] = rng.integers(0, 2 if tensor.dtype == "bool8" else 100, shape)
        else:
            feeds[tensor.name] = rng.standard_normal(shape)
    return feeds

"""What a verifying process and its child hand each other: samples, and both graphs' outputs from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qnn_sd.runner import Feeds, Outputs


def write_samples(folder: Path, samples: Sequence[Feeds]) -> list[str]:
    """Writes a file for each sample; returns their paths.

    Args:
        folder: existing folder for them.
        samples: inputs, by name.
    """
    files = [folder / f"{number}.npz" for number in range(len(samples))]
    for file, feeds in zip(files, samples, strict=True):
        np.savez(file, allow_pickle=False, **feeds)
    return [str(file) for file in files]


def read_samples(files: Sequence[str]) -> list[Feeds]:
    """What ``write_samples`` wrote."""
    samples: list[Feeds] = []
    for path in files:
        with np.load(path, allow_pickle=False) as stored:
            samples.append(dict(stored))
    return samples


def write_answers(path: Path, expected: Sequence[Outputs], found: Sequence[Outputs]) -> None:
    """Writes the outputs from each sample of the QDQ graph and of what was compiled from it."""
    stacked = {
        f"{side}/{name}": np.stack([answer[name] for answer in answers])
        for side, answers in (("expected", expected), ("found", found))
        for name in answers[0]
    }
    np.savez(path, allow_pickle=False, **stacked)


def read_answers(path: Path) -> tuple[list[Outputs], list[Outputs]]:
    """What ``write_answers`` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        stacked = {name: stored[name] for name in stored.files}

    def answers(side: str) -> list[Outputs]:
        of_side = {name.partition("/")[2]: rows for name, rows in stacked.items() if name.startswith(f"{side}/")}
        count = len(next(iter(of_side.values())))
        return [{name: rows[number] for name, rows in of_side.items()} for number in range(count)]

    return answers("expected"), answers("found")

"""A reproduction of a few kilobytes: the culprit alone, without its owner's names and weights, as small as it shows."""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from qnn_sd.compile.bisect import reproduction_script
from qnn_sd.compile.bisect.anonymous import embedded, weights_of, with_random_weights
from qnn_sd.compile.bisect.bisection import Bisection
from qnn_sd.compile.bisect.reproduction_contents import Reproduction
from qnn_sd.compile.bisect.reproduction_page import page
from qnn_sd.compile.bisect.search import Culprit
from qnn_sd.compile.bisect.shrinking import halvings, resized
from qnn_sd.compile.bisect.trial import Fault, Target, output_errors
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.output_files import written_aside
from qnn_sd.runner import Feeds

_SEED = 1
# How far below what is allowed the smaller graph must be: a fault that barely shows may be gone tomorrow.
_CLEAR_DB = -3.0
_MOST_SIZES = 30


@dataclass(frozen=True)
class _Case:
    """A graph that shows the fault.

    Attributes:
        model: with its weights within it.
        feeds: its inputs.
        case: what the script is told of seeded inputs; None where they are stored.
        sqnr_db: what it showed.
    """

    model: onnx.ModelProto
    feeds: Feeds
    case: dict[str, Any] | None = None
    sqnr_db: float | None = None


class _Reducer:
    """Makes a culprit smaller and anonymous, as long as it shows the fault."""

    def __init__(self, bisection: Bisection, culprit: Culprit, fault: Fault) -> None:
        self._cuts, self._culprit, self._fault = bisection.cuts, culprit, fault

    def shown(self, case: _Case, what: str) -> _Case | None:
        """The case with what it showed, or None where the fault is gone."""
        with tempfile.TemporaryDirectory(prefix="qnn-sd-reproduction-") as scratch:
            folder = Path(scratch)
            onnx.save_model(case.model, folder / MODEL_FILE)
            ran = self._cuts.try_out(folder, [case.feeds], f"the reproduction, {what}")
            if ran.fault or self._fault != "parts":
                return case if ran.fault == self._fault else None
            outputs = output_errors(QdqGraph(folder), ran.expected[0], ran.found[0])
        worst = min(outputs, key=lambda each: each.margin_db(self._culprit.least_db))
        return replace(case, sqnr_db=worst.sqnr_db) if worst.margin_db(self._culprit.least_db) < _CLEAR_DB else None

    def cut(self) -> tuple[_Case, bool]:
        """The culprit, and whether it had to keep its names."""
        with tempfile.TemporaryDirectory(prefix="qnn-sd-cut-") as scratch:
            feeds = self._cuts.write(self._culprit.ops, Path(scratch), self._culprit.outputs)
            for keep in (False, True):
                model, names = embedded(Path(scratch), keep)
                case = _Case(model, {names[name]: array for name, array in feeds.items()})
                if (found := self.shown(case, "with its own names" if keep else "with other names")) is not None:
                    return found, keep
        return case, True

    def with_seeded_inputs(self, case: _Case) -> _Case:
        """With inputs of a seed instead of the graph's own, if the fault stays."""
        return self.shown(_seeded(case), "with seeded inputs") or case

    def with_random_weights(self, case: _Case) -> tuple[_Case, bool]:
        """With random weights, as many as can be; and whether none of its own is left."""
        weights = weights_of(case.model)
        changed = replace(case, model=with_random_weights(case.model, weights, _SEED))
        if not weights:
            return case, True
        if (found := self.shown(changed, "with random weights")) is not None:
            return found, True
        for name in weights if len(weights) > 1 else ():
            changed = replace(case, model=with_random_weights(case.model, [name], _SEED))
            case = self.shown(changed, "with some random weights") or case
        return case, False

    def with_smaller_sizes(self, case: _Case) -> _Case:
        """With sizes halved, as often as the fault stays."""
        tried, failed = 0, set()
        while tried < _MOST_SIZES:
            for sizes in halvings(case.model):
                key = tuple(sizes.items())
                smaller = None if key in failed else resized(case.model, case.feeds, sizes)
                failed.add(key)
                if smaller is None or tried == _MOST_SIZES:
                    continue
                tried += 1
                changed = _Case(*smaller) if case.case is None else _seeded(_Case(*smaller), case.case)
                told = ", ".join(f"{old} to {new}" for old, new in sizes.items())
                if (found := self.shown(changed, told)) is not None:
                    case = found
                    break
            else:
                break
        return case


def _seeded(case: _Case, like: dict[str, Any] | None = None) -> _Case:
    """A case whose inputs come from a seed.

    Args:
        case: its inputs give the shapes.
        like: what was told of the inputs before; None for values of the mean and the deviation that they have.
    """
    told: dict[str, Any] = {}
    for name, array in case.feeds.items():
        each: dict[str, Any] = {"shape": list(array.shape), "type": array.dtype.name}
        if like is not None:
            each = {**like["inputs"][name], "shape": list(array.shape)}
        elif array.dtype.kind == "f":
            each["normal"] = [round(float(array.mean()), 6), round(float(array.std()), 6)]
        else:
            each["below"] = int(array.max()) + 1
        told[name] = each
    described = {"seed": _SEED, "inputs": told}
    return replace(case, feeds=reproduction_script.seeded(described), case=described)


def write_reproduction(
    bisection: Bisection, target: Target, path: Path, versions: dict[str, str]
) -> Reproduction | None:
    """Writes a zip file with the culprit alone: ``model.onnx``, ``run.py``, ``case.json``, ``README.md``.

    Args:
        bisection: with a culprit.
        target: what it was compiled for.
        path: of the zip file.
        versions: of the compiler and of what it comes with, by name.

    Returns:
        What was written; None where the culprit, in a file of its own, doesn't show the fault.

    Raises:
        OutputError: it can't be written.
    """
    culprit, fault = bisection.culprit, bisection.fault
    assert culprit is not None, "there is something to reproduce"
    assert fault is not None, "there is something to reproduce"
    reducer = _Reducer(bisection, culprit, fault)
    case, own_names = reducer.cut()
    if case.sqnr_db is None and fault == "parts":
        return None
    case = reducer.with_seeded_inputs(case)
    case, anonymous = reducer.with_random_weights(case)
    case = reducer.with_smaller_sizes(case)
    written = Reproduction(path, 0, case.sqnr_db, len(culprit.ops), not anonymous, case.case is None, own_names)
    files: dict[str, bytes] = {
        "README.md": page(case.model, written, bisection, target, versions).encode(),
        "run.py": Path(reproduction_script.__file__).read_bytes(),
        "case.json": json.dumps({**(case.case or {}), "options": _options(target)}, indent=1).encode(),
        MODEL_FILE: case.model.SerializeToString(),
    }
    with written_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, content in files.items():
            packed.writestr(_entry(path, name), content)
        if case.case is None:
            with packed.open(_entry(path, "inputs.npz"), "w") as stored:
                np.savez(stored, allow_pickle=False, **case.feeds)
    return replace(written, size=path.stat().st_size)


def _entry(path: Path, name: str) -> zipfile.ZipInfo:
    """A file in a folder of the archive's name, readable by all; of no time: the same reproduction is the same file."""
    entry = zipfile.ZipInfo(f"{path.stem}/{name}")
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return entry


def _options(target: Target) -> dict[str, str]:
    return {
        "soc_model": str(target.soc_model),
        "htp_arch": str(target.htp_arch),
        "htp_graph_finalization_optimization_mode": str(target.optimization_mode),
    }

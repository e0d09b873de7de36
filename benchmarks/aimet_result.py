"""What AIMET's AdaRound makes of a float graph's weights: run once in its own environment, kept, made integers."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from layer_errors import IntegersByWeight

from qnn_sd.artifact import Artifact, Recipe, load_or_build, sha256_of_file
from qnn_sd.onnx_files import DATA_FILE, MODEL_FILE
from qnn_sd.quantize.encodings import Encoding, Encodings, write_2_0_0
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.runner import Feeds

SCRIPT = Path(__file__).with_name("aimet_adaround.py")
# A weight that is further from an integer, in steps, AIMET left between two.
_SETTLED = 0.01


@dataclass(frozen=True)
class AimetRounding:
    """AIMET's result.

    Attributes:
        integers: of the layers' weights, by the weight's name: nearest to what AIMET left, as in its own simulation.
        weights: how many weights those are.
        strayed: how many integers are neither the one below nor the one above their weight.
        unsettled: how many weights AIMET left between two integers.
        skipped: names of weights that it left as they were.
        seconds: that rounding took, on the clock.
        processor_seconds: the same, of all processors.
        stored: whether it is the result of an earlier run.
        versions: of AIMET's packages.
    """

    integers: IntegersByWeight
    weights: int
    strayed: int
    unsettled: int
    skipped: tuple[str, ...]
    seconds: float
    processor_seconds: float
    stored: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class Aimet:
    """AIMET in an environment of its own.

    Attributes:
        python: of that environment.
        work: where results are kept.
        iterations: of each layer.
        threads: for torch and for ONNX Runtime.
    """

    python: str
    work: Path
    iterations: int
    threads: int

    def round(
        self, graph: FloatGraph, encodings: Encodings, samples: Sequence[Feeds], layers: Sequence[str]
    ) -> AimetRounding:
        """Rounds layers, or takes the result of an earlier run with the same data, settings and packages.

        Args:
            graph: the float graph.
            encodings: whose scales AIMET takes.
            samples: feeds of the graph to round on.
            layers: names of the layers' outputs.

        Raises:
            subprocess.CalledProcessError: AIMET failed; what it said is on stderr.
            OutputError: the work folder can't be written.
        """
        versions = json.loads(subprocess.check_output([self.python, str(SCRIPT), "--versions"]))
        with tempfile.TemporaryDirectory(prefix="qnn-sd-bench-") as scratch:
            data = Path(scratch)
            write_2_0_0(data / "encodings.json", encodings.activations, encodings.parameters)
            np.savez(data / "samples.npz", **{name: np.stack([each[name] for each in samples]) for name in samples[0]})
            (data / "weights.json").write_text(
                json.dumps([graph.roles.layers[name].weight for name in layers]), "utf-8"
            )
            made = self._made(graph.folder, data, versions)
        return _result(graph, encodings, made, versions)

    def _made(self, source: Path, data: Path, versions: dict[str, str]) -> Artifact:
        read = [source / MODEL_FILE, source / DATA_FILE, *sorted(data.iterdir())]
        settings = {"iterations": self.iterations, "threads": self.threads}
        # What it was exported by is no matter: the files' own hashes are there.
        name = source.name.rpartition("-")[0]
        recipe = Recipe("aimet", name, {path.name: sha256_of_file(path) for path in read}, settings, versions)

        def build(folder: Path) -> dict[str, float]:
            options = [f"--{name}={value}" for name, value in settings.items()]
            command = [self.python, str(SCRIPT), str(source), str(data), str(folder), *options]
            # What it logs is a line a layer; its progress is on stderr.
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            took: dict[str, float] = json.loads((folder / "took.json").read_text("utf-8"))
            return took

        return load_or_build(self.work, recipe, build)


def to_integers(left: np.ndarray, exact: np.ndarray, encoding: Encoding) -> tuple[np.ndarray, int, int]:
    """A weight as AIMET left it, as integers.

    Args:
        left: float32, what AIMET left: on its grid, or between two of its points.
        exact: float32, the weight before.
        encoding: whose scales count.

    Returns:
        The nearest integers, in the weight's shape; how many of them are neither the one below nor the one above the
        weight before; how many weights were between two.
    """
    integers = encoding.quantize(left)
    scale = encoding.scale.reshape([-1 if axis == encoding.axis else 1 for axis in range(exact.ndim)])
    below, above = np.floor(exact / scale), np.ceil(exact / scale)
    strayed = (integers < below) | (integers > above)
    return integers, int(strayed.sum()), int((np.abs(left / scale - integers) > _SETTLED).sum())


def _result(graph: FloatGraph, encodings: Encodings, made: Artifact, versions: dict[str, str]) -> AimetRounding:
    integers: dict[str, np.ndarray] = {}
    all_strayed = all_unsettled = 0
    skipped = []
    with np.load(made.file("weights.npz"), allow_pickle=False) as stored:
        for name in stored.files:
            left, exact = stored[name], graph.array(name)
            integers[name], strayed, unsettled = to_integers(left, exact, encodings.parameters[name])
            all_strayed, all_unsettled = all_strayed + strayed, all_unsettled + unsettled
            if np.array_equal(left, exact):
                skipped.append(name)
    return AimetRounding(
        integers,
        sum(each.size for each in integers.values()),
        all_strayed,
        all_unsettled,
        tuple(skipped),
        float(made.metadata["seconds"]),
        float(made.metadata["processor_seconds"]),
        made.cached,
        versions,
    )

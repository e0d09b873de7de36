"""Ranges of a whole calibration: of the default guidance, which get a margin, and of the other guidance scales."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from qnn_sd.output_files import written_aside
from qnn_sd.quantize.ranges.measured import Ranges, measure
from qnn_sd.runner import Feeds

_RANGES_FILE = "ranges.json"


@dataclass(frozen=True)
class CalibratedRanges:
    """What calibration measured.

    Attributes:
        default_guidance: ranges of the samples of the model's default guidance.
        other_guidance: ranges of the samples of other guidance scales; none where there are no such samples.
    """

    default_guidance: Ranges
    other_guidance: Ranges = field(default_factory=dict)


def measure_calibration(
    source: Path, samples: Iterable[Feeds], other_guidance_samples: Iterable[Feeds], on_sample: Callable[[], None]
) -> CalibratedRanges:
    """Measures ranges on all samples.

    Args:
        source: folder of the float model.
        samples: feeds of the model's default guidance.
        other_guidance_samples: feeds of other guidance scales; there may be none.
        on_sample: called after each sample.

    Raises:
        QuantizeError: no samples of the default guidance, or an activation that isn't finite.
    """
    others = iter(other_guidance_samples)
    first = next(others, None)
    default = measure(source, samples, on_sample)
    if first is None:
        return CalibratedRanges(default)
    return CalibratedRanges(default, measure(source, itertools.chain([first], others), on_sample))


def measure_or_resume(
    source: Path,
    samples: Iterable[Feeds],
    other_guidance_samples: Iterable[Feeds],
    work: Path,
    on_sample: Callable[[], None],
) -> CalibratedRanges:
    """The same, kept in a folder for a run that resumes an interrupted one: at full size, measuring takes minutes.

    Args:
        source: folder of the float model.
        samples: feeds of the model's default guidance.
        other_guidance_samples: feeds of other guidance scales; there may be none.
        work: the folder, made if it isn't there.
        on_sample: called after each sample that is measured.

    Raises:
        QuantizeError: as ``measure_calibration``.
        OutputError: the folder can't be written.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / _RANGES_FILE
    # A power failure can damage a file that was renamed already; what is no table of ranges is measured again.
    with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
        default, other = (
            {name: (low, high) for name, (low, high) in ranges.items()}
            for ranges in json.loads(file.read_text("utf-8"))
        )
        return CalibratedRanges(default, other)
    measured = measure_calibration(source, samples, other_guidance_samples, on_sample)
    with written_aside(file) as partial:
        partial.write_text(json.dumps([dict(measured.default_guidance), dict(measured.other_guidance)]), "utf-8")
    return measured

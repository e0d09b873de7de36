"""The compiler's estimates beside what was measured: kept in the cache, and made only when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qnn_sd.ai_hub.journal import FOLDER
from qnn_sd.cli.cost_scale import scaling_for
from qnn_sd.compile.cost import measure
from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.output_files import output_error, written_aside
from qnn_sd.pipeline import BuildPipeline


class KeptEstimate(BaseModel):
    """An estimate of a call.

    Attributes:
        ms: of the call.
        label: whose estimate it is.
    """

    model_config = ConfigDict(frozen=True)

    ms: float
    label: str


def _path(cache: Path, bundle: str, component: str) -> Path:
    return cache / FOLDER / "estimates" / bundle / f"{component}.json"


def kept_estimate(cache: Path, bundle: str, component: str) -> KeptEstimate | None:
    """The estimate that was made before; None where none was.

    Args:
        cache: folder of the artifacts.
        bundle: name of the bundle's folder.
        component: of it.
    """
    try:
        return KeptEstimate.model_validate(json.loads(_path(cache, bundle, component).read_text("utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def make_estimates(
    pipeline: BuildPipeline,
    profile: DeviceProfile,
    bundle: str,
    components: Sequence[str],
    cache: Path,
    console: Console,
) -> None:
    """Estimates what isn't estimated yet, by compiling it once more; where the SoC has no estimate, it is said.

    Args:
        pipeline: that built the bundle.
        profile: whose binaries it has.
        bundle: name of its folder.
        components: of it.
        cache: folder of the artifacts.
        console: shows the progress.

    Raises:
        CompileError: the compiler gave none.
    """
    left = [each for each in components if kept_estimate(cache, bundle, each) is None]
    try:
        scaling = scaling_for(profile, scale=True)
    except SettingError as error:
        console.say(f"no estimate for {profile.soc}: {error.why}")
        return
    if not left:
        return
    with console.progress(f"estimating for {profile.soc}", len(left)) as bar:
        for component in left:
            cost = measure(pipeline.quantize(component).folder, scaling.chip, report=console.warn)
            if cost.estimate is not None:
                label = scaling.label(component) or "the QNN compiler's"
                made = KeptEstimate(ms=cost.estimate.ms * scaling.ratio(component), label=label)
                _keep(_path(cache, bundle, component), made)
            bar.advance(component)


def _keep(path: Path, made: KeptEstimate) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    with written_aside(path) as aside:
        aside.write_text(made.model_dump_json() + "\n", "utf-8")

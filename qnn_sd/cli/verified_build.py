"""A verified build, or what became of one that is refused: for the commands that report either."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.config import DeviceProfile
from qnn_sd.console import Console
from qnn_sd.errors import CompileError, VerificationError
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.verification import SQNR_FIGURES, ComponentVerification

Refusal = VerificationError | CompileError


@dataclass(frozen=True)
class VerifiedBuild:
    """What was measured.

    Attributes:
        components: by name; of a refused build, as far as it came.
        refused: by a gate or the compiler; None for one that passed.
    """

    components: dict[str, ComponentVerification]
    refused: Refusal | None


def verified_build(pipeline: BuildPipeline, profile: DeviceProfile, reports: bool) -> VerifiedBuild:
    """Builds and verifies what isn't in the cache.

    Args:
        pipeline: that builds.
        profile: the binaries' SoC.
        reports: whether a refusal is reported: whoever gets the report learns most from it.

    Raises:
        VerificationError: a gate refuses a component, and nobody reports it.
        CompileError: the compiler refuses one, likewise.
    """
    try:
        return VerifiedBuild(pipeline.bundle(profile).info.verification or {}, None)
    except (VerificationError, CompileError) as error:
        if not reports:
            raise
        known = {name: pipeline.measured[name] for name in COMPONENTS if name in pipeline.measured}
        return VerifiedBuild(known, error)


def show_figures(console: Console, verified: dict[str, ComponentVerification]) -> None:
    """Prints what was measured, by component, and of the UNet by setting."""
    rows: list[list[object]] = []
    for name in COMPONENTS:
        if name in verified:
            binary, floats = verified[name].binary_against_qdq, verified[name].qdq_against_float
            rows.append([name, "-" if binary is None else binary.text, floats.text, floats.worst_input])
    if not rows:
        return
    console.table(["component", "binary/QDQ, dB", "QDQ/float, dB", "worst input of QDQ/float"], rows)
    console.result(SQNR_FIGURES)
    settings = verified["unet"].settings if "unet" in verified else ()
    if settings:
        console.table(["guidance", "negative prompt", "UNet: QDQ/float, dB"], [each.row for each in settings])

"""What ``qnn-sd report`` puts together: figures of the verification, and what the build's artifacts say beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from qnn_sd.artifact import sha256_of_file
from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.cost_graphs import components_of
from qnn_sd.cli.cost_measure import measure_costs
from qnn_sd.cli.cost_report import as_document
from qnn_sd.cli.cost_scale import ESTIMATED_SOC, Scaling, scaling_for
from qnn_sd.cli.documents.cost import CostDocument
from qnn_sd.cli.documents.report import (
    CommandToType,
    ComponentBytes,
    ComponentCalls,
    ComponentRounding,
    ReportDocument,
    ReportedSoc,
    ReportImages,
    RoundedLayer,
)
from qnn_sd.cli.documents.verify import VerificationReport
from qnn_sd.cli.image_comparison import Comparison
from qnn_sd.cli.profile_results import measured_binaries
from qnn_sd.cli.verification_report import image_request
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.pipeline.artifact_store import StageReport
from qnn_sd.quantize.adaround.report import REPORT_FILE


def report_document(
    verification: VerificationReport,
    pipeline: BuildPipeline,
    profile: DeviceProfile,
    comparisons: Sequence[Comparison],
    cost: CostDocument | None,
    commands: list[CommandToType],
    cache: Path,
) -> ReportDocument:
    """What the page shows, apart from the images themselves."""
    made = {(each.stage, each.component): each for each in pipeline.reports if each.component in COMPONENTS}
    of_graphs = [name for name in COMPONENTS if ("export", name) in made]
    return ReportDocument(
        file=None,
        verification=verification,
        soc=ReportedSoc(name=profile.soc, title=profile.title, htp_arch=profile.htp_arch),
        calls={name: _calls(pipeline, name) for name in verification.components},
        graphs={
            name: ComponentBytes(
                float_bytes=_bytes(made.get(("export", name)), ("model.onnx", "weights.bin")),
                qdq_bytes=_bytes(made.get(("quantize", name)), ("model.onnx", "weights.bin")),
                binary_bytes=_bytes(made.get(("compile", name)), ("*.bin",)),
                narrowed_operands=made[key].metadata["int8_operands"] if (key := ("compile", name)) in made else 0,
            )
            for name in of_graphs
        },
        rounding={name: _rounding(made["quantize", name]) for name in COMPONENTS if ("quantize", name) in made},
        prompts=[ReportImages(request=image_request(each.request), images=each.document) for each in comparisons],
        cost=cost,
        measured=measured_binaries(cache, _binaries(made)),
        commands=commands,
    )


def _binaries(made: Mapping[tuple[str, str], StageReport]) -> dict[str, str]:
    """Hashes of the context binaries, by component."""
    compiled = {name: made["compile", name].folder for name in COMPONENTS if ("compile", name) in made}
    return {name: sha256_of_file(path) for name, folder in compiled.items() for path in folder.glob("*.bin")}


def _calls(pipeline: BuildPipeline, component: str) -> ComponentCalls:
    fields = {name: list(pipeline.calls.get((component, name), ())) for name in ComponentCalls.model_fields}
    return ComponentCalls(**fields)


def _bytes(stage: StageReport | None, patterns: Iterable[str]) -> int | None:
    if stage is None:
        return None
    return sum(path.stat().st_size for pattern in patterns for path in stage.folder.glob(pattern))


def _rounding(stage: StageReport) -> ComponentRounding:
    told = stage.metadata
    layers = _layers(stage.folder / REPORT_FILE)
    return ComponentRounding(
        scheme=told["scheme"],
        activations=told["activations"],
        parameters=told["parameters"],
        int8_operands=told.get("int8_operands"),
        int16_operands=told.get("int16_operands"),
        exact_layers=told["rounding"]["exact"] if "rounding" in told else None,
        layers=layers,
    )


def _layers(path: Path) -> list[RoundedLayer]:
    """The layers that nearest changes; none where AdaRound rounded nothing."""
    if not path.is_file():
        return []
    return [
        RoundedLayer(layer=each["layer"], op=each["op"], gain_db=round(each["gain_db"], 2), kept=each["kept"])
        for each in json.loads(path.read_text("utf-8"))["layers"]
        if each["gain_db"] is not None
    ]


def measured_cost(build_request: BuildRequest, profile: DeviceProfile, console: Console) -> CostDocument:
    """What ``qnn-sd cost`` says of all components, block by block.

    Raises:
        CompileError: the compiler refused a graph or a part, crashed, or gave no estimate.
    """
    scaling = _scaling(profile)
    pipeline, subjects = components_of(build_request, COMPONENTS, console, 2)
    costs = [
        measure_costs(
            subject,
            scaling,
            subject.name,
            console,
            parts=subject.parts(by_level=False),
            by_level=False,
            whole=True,
            bound=False,
        )
        for subject in subjects
    ]
    return as_document(costs, "block", pipeline.model)


def _scaling(profile: DeviceProfile) -> Scaling:
    try:
        return scaling_for(profile, scale=True)
    except SettingError:  # nobody published times of it: the page says whose these are
        return scaling_for(load_profile(ESTIMATED_SOC), scale=False)

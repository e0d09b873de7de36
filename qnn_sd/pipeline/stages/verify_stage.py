"""Gates: QDQ ONNX against float ONNX on the CPU, context binary against QDQ ONNX on the HTP emulator."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from qnn_sd import qnn_provider
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.compile import Binary, Verifier
from qnn_sd.config import DeviceProfile
from qnn_sd.errors import ArtifactError
from qnn_sd.pipeline.artifact_store import ParallelBuild, tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.calibrate_stage import RecordingPlan, planned_samples
from qnn_sd.quantize import sqnr_against_float
from qnn_sd.quantize.calibration import Samples, unit_name
from qnn_sd.resources import usable_cores
from qnn_sd.toolchain import load_toolchains
from qnn_sd.verification import (
    QDQ_AGAINST_FLOAT,
    ComponentVerification,
    SettingSqnr,
    SqnrSummary,
    VerificationInput,
    binary_gate,
    require_gate,
)

CACHE_KEY_SOURCES = (
    *(f"compile/{name}.py" for name in ("run_binary", "verifier", "verifier_child")),
    *("quantize/against_float.py", "verification", "qnn_provider.py", "metrics.py", "reference.py"),
    # What is asked, and whether the answer is held to the gates.
    *("pipeline", "config"),
)
Figures = TypeVar("Figures", ComponentVerification, SqnrSummary)


def measured_figures(artifact: Artifact, kind: type[Figures]) -> Figures:
    """The figures of a verification's artifact.

    Raises:
        ArtifactError: it has none, or others.
    """
    try:
        return kind.model_validate(artifact.metadata)
    except ValidationError as error:
        raise ArtifactError(
            f"{artifact.folder} doesn't say what was measured",
            why="; ".join(str(error).splitlines()[:2]),
            hint=f"Delete {artifact.folder} and run again.",
        ) from error


def likely_cause_in_encodings(context: BuildContext, component: str) -> tuple[str, str]:
    """The likely cause of a QDQ graph that is far from float, and what to do; empty where the gate knows as much."""
    if given := context.encodings.get(component):
        return f"The encodings in {given} don't fit this model", f"Correct {given.name}, or leave --encodings out."
    return "", ""


def likely_cause_in_versions() -> tuple[str, str]:
    """The likely cause of a binary that isn't its QDQ graph, and what to do; empty where these versions were tried."""
    installed, known = qnn_provider.versions(), load_toolchains()
    if known.of(installed) is not None:
        return "", ""
    listed = ", ".join(f"{name} {number}" for name, number in installed.items())
    return f"Nobody tried {listed} together, and the compiler is of these", known.chosen.install


def verification_inputs(
    context: BuildContext, component: str, recording: RecordingPlan, recorded: Artifact
) -> list[VerificationInput]:
    """What a component is verified with, labelled.

    Args:
        context: of the build.
        component: its name.
        recording: the verification's plan.
        recorded: its artifact.
    """
    recorded_on = context.component(component).recorded_on
    if recorded_on != "steps":
        kind = recorded_on.removesuffix("s")
        samples = Samples(recorded.folder, component)
        return [VerificationInput(f"{kind} {number + 1}", feeds) for number, feeds in enumerate(samples)]
    steps, kept = context.model.verification.steps, context.model.verification.kept
    inputs: list[VerificationInput] = []
    for number, trajectory in enumerate(recording.trajectories):
        passes = context.passes(trajectory.guidance)
        of_unit = Samples(recorded.folder, component, partial(operator.eq, unit_name(number)))
        for place, feeds in enumerate(of_unit):
            negative = ", negative prompt" if trajectory.negative else ""
            which = f", {('negative', 'prompt')[place % 2]} pass" if passes == 2 else ""
            where = f"prompt {number + 1}, guidance {trajectory.guidance:g}{negative}"
            label = f"{where}, step {kept[place // passes] + 1} of {steps}{which}"
            pair = number * len(kept) + place // passes if passes == 2 else None
            inputs.append(VerificationInput(label, feeds, pair, trajectory.setting, number))
    return inputs


def verify_qdq(
    context: BuildContext, component: str, source: Artifact, qdq: Artifact, recording: RecordingPlan, recorded: Artifact
) -> Artifact:
    """Holds a QDQ graph against its float graph, on the CPU.

    Raises:
        VerificationError: it is too far from it, or answers with NaN or infinity.
    """
    recipe = Recipe(
        "verify",
        f"{context.model.name}.{component}.qdq",
        {"float": source.key, "qdq": qdq.key, "verification": recorded.key},
        {},
        tool_versions(CACHE_KEY_SOURCES, "onnxruntime", "numpy"),
        context.work(component, "qdq", {"inputs": planned_samples(context, recording, component)}),
    )

    def build(_folder: Path) -> dict[str, Any]:
        inputs = verification_inputs(context, component, recording, recorded)
        settings = list(dict.fromkeys(each.setting for each in inputs if each.setting is not None))
        numbers = range(len(inputs))
        default = [n for n in numbers if inputs[n].setting in (None, *context.model.default_settings)]
        groups = [default, *([n for n in numbers if inputs[n].setting == each] for each in settings)]
        with context.console.progress(f"{component} against float", 2 * len(inputs)) as bar:
            at_default, *at_settings = sqnr_against_float(
                component, source.folder, qdq.folder, inputs, groups, bar.advance
            )
        require_gate(QDQ_AGAINST_FLOAT, component, at_default, *likely_cause_in_encodings(context, component))
        verified = ComponentVerification(
            qdq_against_float=at_default,
            settings=tuple(
                SettingSqnr(setting=setting, sqnr=sqnr) for setting, sqnr in zip(settings, at_settings, strict=True)
            ),
        )
        return verified.model_dump(mode="json")

    return context.store.get_or_build(recipe, component, build)


def verify_binaries(
    context: BuildContext,
    profile: DeviceProfile,
    graphs: Mapping[str, Artifact],
    compiled: Mapping[str, Artifact],
    recording: RecordingPlan,
    recorded: Artifact,
) -> dict[str, Artifact]:
    """Holds context binaries on the emulator against their QDQ graphs, as many at a time as there are cores.

    Args:
        context: of the build.
        profile: the binaries' SoC.
        graphs: QDQ graph of each component.
        compiled: its binary.
        recording: the verification's plan.
        recorded: its artifact.

    Returns:
        By component.

    Raises:
        VerificationError: a gate refuses one. Those that were verified before it stay so.
    """
    verifier = Verifier(usable_cores())
    images = context.model.verification.images
    builds: dict[str, ParallelBuild] = {}
    for component, qdq in graphs.items():
        made = compiled[component]
        calls = {"inputs": planned_samples(context, recording, component, images)}
        recipe = Recipe(
            "verify",
            f"{context.model.name}.{component}.{profile.soc}",
            {"binary": made.key, "verification": recorded.key},
            {"trajectories": images},
            {**tool_versions(CACHE_KEY_SOURCES), **qnn_provider.versions()},
            context.work(component, "binary", calls, profile.soc),
        )
        binary = Binary(qdq.folder, made.folder, profile.soc_model, profile.htp_arch)
        inputs = partial(_emulator_inputs, context, component, recording, recorded)
        builds[component] = ParallelBuild(recipe, partial(_verify_binary, verifier, component, binary, inputs))
    return context.store.get_or_build_in_parallel(builds, "verifying on the emulator", verifier.close)


def _emulator_inputs(
    context: BuildContext, component: str, recording: RecordingPlan, recorded: Artifact
) -> list[VerificationInput]:
    """The inputs that the emulator is asked for: it takes minutes for a call of a large model."""
    inputs = verification_inputs(context, component, recording, recorded)
    # Of the sampling steps, those of the first prompts, at the model's default guidance.
    asked = (None, *range(context.model.verification.images))
    return [each for each in inputs if each.trajectory in asked]


def _verify_binary(
    verifier: Verifier,
    component: str,
    binary: Binary,
    inputs: Callable[[], Sequence[VerificationInput]],
    _folder: Path,
) -> dict[str, Any]:
    found = verifier.sqnr(component, binary, inputs())
    require_gate(binary_gate(binary.htp_arch), component, found, *likely_cause_in_versions())
    return found.model_dump(mode="json")

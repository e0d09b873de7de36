"""Gates: QDQ ONNX against float ONNX on the CPU, context binary against QDQ ONNX on the HTP emulator."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from qnn_sd import qnn_provider
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.compile import Binary, Verifier
from qnn_sd.config import DeviceProfile
from qnn_sd.errors import ArtifactError
from qnn_sd.pipeline.artifact_store import ParallelBuild, tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.calibrate_stage import RecordingPlan, planned_samples
from qnn_sd.quantize import sqnr_against_float
from qnn_sd.quantize.calibration import Samples, Trajectory, unit_name
from qnn_sd.resources import usable_cores
from qnn_sd.toolchain import load_toolchains
from qnn_sd.verification import (
    QDQ_AGAINST_FLOAT,
    CallSqnr,
    ComponentVerification,
    SettingSqnr,
    SqnrSummary,
    VerificationInput,
    binary_gate,
    groups_by_call,
    label_calls,
    require_gate,
)

CACHE_KEY_SOURCES = (
    *(f"compile/{name}.py" for name in ("run_binary", "verifier", "verifier_child")),
    *("quantize/against_float.py", "verification", "qnn_provider.py", "metrics.py", "reference.py"),
    # What is asked, and whether the answer is held to the gates.
    *("pipeline", "config"),
)
Figures = TypeVar("Figures", ComponentVerification, SqnrSummary)
# The two comparisons, by their field in ``ComponentVerification``.
OF_QDQ, OF_BINARY = "qdq_against_float", "binary_against_qdq"
CALLS_FILE = "calls.json"
_CALLS = TypeAdapter(tuple[CallSqnr, ...])


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


def _keep_calls(
    context: BuildContext, component: str, comparison: str, calls: tuple[CallSqnr, ...], folder: Path
) -> None:
    """Keeps the figures of each call, also in a file of the artifact: a bundle carries the summary alone."""
    context.calls[component, comparison] = calls
    (folder / CALLS_FILE).write_bytes(_CALLS.dump_json(calls, indent=1))


def _with_calls(context: BuildContext, component: str, comparison: str, made: Artifact) -> Artifact:
    """The same artifact, its figures of each call read."""
    if not context.dry_run:
        context.calls[component, comparison] = _CALLS.validate_json(made.file(CALLS_FILE).read_bytes())
    return made


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
    return labelled_inputs(
        recorded.folder,
        component,
        context.component(component).recorded_on,
        recording.trajectories,
        recording.steps,
        context.passes,
    )


def labelled_inputs(
    recorded: Path,
    component: str,
    recorded_on: str,
    trajectories: Sequence[Trajectory],
    steps: int,
    passes_at: Callable[[float], int],
) -> list[VerificationInput]:
    """What a component is verified with, labelled, by what a recording says of itself.

    Args:
        recorded: folder of the recording.
        component: its name.
        recorded_on: what its inputs were recorded on.
        trajectories: of the recording's plan.
        steps: of its sampling.
        passes_at: guidance passes at a guidance scale.
    """
    if recorded_on != "steps":
        kind = recorded_on.removesuffix("s")
        samples = Samples(recorded, component)
        return [VerificationInput(f"{kind} {number + 1}", feeds) for number, feeds in enumerate(samples)]
    inputs: list[VerificationInput] = []
    for number, trajectory in enumerate(trajectories):
        kept, passes = trajectory.kept, passes_at(trajectory.guidance)
        of_unit = Samples(recorded, component, partial(operator.eq, unit_name(number)))
        for place, feeds in enumerate(of_unit):
            negative = ", negative prompt" if trajectory.negative else ""
            which = f", {('negative', 'prompt')[place % 2]} pass" if passes == 2 else ""
            where = f"prompt {number + 1}, guidance {trajectory.guidance:g}{negative}"
            label = f"{where}, step {kept[place // passes] + 1} of {steps}{which}"
            pair = number * len(kept) + place // passes if passes == 2 else None
            step = kept[place // passes] + 1
            inputs.append(VerificationInput(label, feeds, pair, trajectory.setting, number, step))
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

    def build(folder: Path) -> dict[str, Any]:
        inputs = verification_inputs(context, component, recording, recorded)
        settings = list(dict.fromkeys(each.setting for each in inputs if each.setting is not None))
        numbers = range(len(inputs))
        default = [n for n in numbers if inputs[n].setting in (None, *context.model.default_settings)]
        groups = [default, *([n for n in numbers if inputs[n].setting == each] for each in settings)]
        calls = groups_by_call(inputs)
        with context.console.progress(f"{component} against float", 2 * len(inputs)) as bar:
            found = sqnr_against_float(component, source.folder, qdq.folder, inputs, [*groups, *calls], bar.advance)
        at_default, *at_settings = found[: len(groups)]
        verified = ComponentVerification(
            qdq_against_float=at_default,
            settings=tuple(
                SettingSqnr(setting=setting, sqnr=sqnr) for setting, sqnr in zip(settings, at_settings, strict=True)
            ),
        )
        # Before the gate: of what is refused, its figures tell most.
        context.measured[component] = verified
        _keep_calls(context, component, OF_QDQ, label_calls(inputs, calls, found[len(groups) :]), folder)
        require_gate(QDQ_AGAINST_FLOAT, component, at_default, *likely_cause_in_encodings(context, component))
        return verified.model_dump(mode="json")

    return _with_calls(context, component, OF_QDQ, context.store.get_or_build(recipe, component, build))


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
        inputs = partial(emulator_inputs, context, component, recording, recorded)
        build = partial(_verify_binary, context, verifier, component, binary, inputs)
        builds[component] = ParallelBuild(recipe, build)
    found = context.store.get_or_build_in_parallel(builds, "verifying on the emulator", verifier.close)
    return {component: _with_calls(context, component, OF_BINARY, each) for component, each in found.items()}


def emulator_inputs(
    context: BuildContext, component: str, recording: RecordingPlan, recorded: Artifact
) -> list[VerificationInput]:
    """The inputs that the emulator is asked for: it takes minutes for a call of a large model."""
    inputs = verification_inputs(context, component, recording, recorded)
    # Of the sampling steps, those of the first prompts, at the model's default guidance.
    asked = (None, *range(context.model.verification.images))
    return [each for each in inputs if each.trajectory in asked]


def _verify_binary(
    context: BuildContext,
    verifier: Verifier,
    component: str,
    binary: Binary,
    inputs: Callable[[], Sequence[VerificationInput]],
    folder: Path,
) -> dict[str, Any]:
    fed = inputs()
    calls = groups_by_call(fed)
    found, *of_calls = verifier.sqnr_of_groups(component, binary, fed, [range(len(fed)), *calls])
    # Before the gate, as above.
    context.measured[component] = context.measured[component].model_copy(update={OF_BINARY: found})
    _keep_calls(context, component, OF_BINARY, label_calls(fed, calls, of_calls), folder)
    require_gate(binary_gate(binary.htp_arch), component, found, *likely_cause_in_versions())
    return found.model_dump(mode="json")

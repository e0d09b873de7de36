"""What each component goes through: export, recordings, quantization, compilation, verification with its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from qnn_sd.artifact import Artifact
from qnn_sd.config import DeviceProfile
from qnn_sd.pipeline.model_build import ModelBuild
from qnn_sd.pipeline.stages import (
    calibrate_stage,
    compile_stage,
    export_stage,
    quantize_stage,
    verify_stage,
)
from qnn_sd.pipeline.stages.calibrate_stage import RecordingPlan
from qnn_sd.quantize import QuantizationScheme
from qnn_sd.quantize.calibration import Samples, Trajectory
from qnn_sd.verification import (
    QDQ_AGAINST_FLOAT,
    ComponentVerification,
    SqnrSummary,
    VerificationInput,
    binary_gate,
    gate_warning,
    require_gate,
)

# What a dry run, which measures nothing, hands on.
NOT_MEASURED = SqnrSummary(all_db=0.0, worst_db=200.0, worst_input="not measured")


class ComponentBuilds(ModelBuild):
    """Builds components: the stages in their order, from export to verification."""

    def export(self, component: str) -> Artifact:
        """The component's float graph."""
        return export_stage.export_graph(self._context, component)

    def calibration(self) -> Artifact:
        """What every component is fed along real trajectories."""
        return self._recorded(calibrate_stage.calibration_plan(self._context))

    def held_out(self) -> Artifact:
        """The same from other prompts and noise, to judge with."""
        return self._recorded(calibrate_stage.held_out_plan(self._context))

    def verification(self) -> Artifact:
        """The same once more, to verify with."""
        return self._recorded(self._verification_plan)

    def verification_plan(self) -> tuple[Trajectory, ...]:
        """The trajectories of ``verification()``: the model's default guidance first, with a negative prompt."""
        return self._verification_plan.trajectories

    @cached_property
    def _verification_plan(self) -> RecordingPlan:
        return calibrate_stage.verification_plan(self._context)

    def _recorded(self, recording: RecordingPlan) -> Artifact:
        # In seconds it is known whether given encodings fit their graphs, and a recording may take hours.
        for name in self.encodings:
            self.quantize(name)
        floats = {each.name: self.export(each.name) for each in self._context.components if not each.derive_feeds}
        return calibrate_stage.record_inputs(self._context, recording, floats)

    @staticmethod
    def samples(recorded: Artifact, component: str) -> Samples:
        """The feeds of a component in one of the recordings, read one at a time."""
        return Samples(recorded.folder, component)

    def samples_by_guidance(self, component: str) -> tuple[Samples, Samples]:
        """The feeds of a component in ``calibration()``: at the model's default guidance, and at others."""
        owner = self._owner(component)
        return calibrate_stage.by_guidance(owner._context, owner.calibration(), component)

    @property
    def known_inputs(self) -> dict[str, tuple[float, float]]:
        """The ranges that the UNet's inputs have by their nature, by input name."""
        return quantize_stage.known_inputs(self._context)

    def quantize(self, component: str) -> Artifact:
        """The component's QDQ graph."""
        if self._owner(component) is not self:
            return self._owner(component).quantize(component)
        source = self.export(component)
        if given := self.encodings.get(component):
            return quantize_stage.quantize_with_given_encodings(self._context, component, source, given)
        calibration = self.calibration()
        held_out = self.held_out() if self._context.rounding == "adaround" else None
        weights = self._weights_of.quantize(component) if self._weights_of and held_out else None
        return quantize_stage.quantize_graph(self._context, component, source, calibration, held_out, weights)

    def scheme(self, component: str) -> QuantizationScheme:
        """The bit widths of a component whose encodings aren't given."""
        return quantize_stage.scheme_of(self._context, component)

    def compile(self, component: str, profile: DeviceProfile) -> Artifact:
        """The component's context binary for a SoC; nothing is known of it until it is verified."""
        return self._compiled([component], (profile,))[component]

    def _quantized(self, components: Sequence[str]) -> dict[str, Artifact]:
        return {name: self.quantize(name) for name in components}

    def _compiled(self, components: Sequence[str], socs: tuple[DeviceProfile, ...]) -> dict[str, Artifact]:
        """Context binaries, side by side; each serves all of the SoCs."""
        return compile_stage.compile_binaries(self._context, self._quantized(components), socs)

    def verification_inputs(self, component: str) -> list[VerificationInput]:
        """What a component is verified with, labelled."""
        owner = self._owner(component)
        return verify_stage.verification_inputs(
            owner._context, component, owner._verification_plan, owner.verification()
        )

    def sample_prompt(self) -> str:
        """A prompt that nothing was fitted to, for an image beside the figures."""
        return self.verification_plan()[-1].prompt

    def verify_quantization(self, component: str) -> ComponentVerification:
        """Holds a component's QDQ graph against the float model, on the CPU.

        Raises:
            VerificationError: it is too far from it, or answers with NaN or infinity.
        """
        if self._owner(component) is not self:
            return self._owner(component).verify_quantization(component)
        artifact = verify_stage.verify_qdq(
            self._context,
            component,
            self.export(component),
            self.quantize(component),
            self._verification_plan,
            self.verification(),
        )
        if self._context.dry_run and not artifact.metadata:
            return ComponentVerification(qdq_against_float=NOT_MEASURED)
        verified = verify_stage.measured_figures(artifact, ComponentVerification)
        if self._context.dry_run:
            return verified
        self.measured[component] = verified
        # What the cache says is held to the gate like what was measured just now.
        suspect = verify_stage.likely_cause_in_encodings(self._context, component)
        require_gate(QDQ_AGAINST_FLOAT, component, verified.qdq_against_float, *suspect)
        warning = gate_warning(QDQ_AGAINST_FLOAT, component, verified.qdq_against_float)
        if warning and warning not in self.warnings:
            self.warnings.append(warning)
            self._context.console.warn(warning)
        return verified

    def verify(
        self, components: Sequence[str], profile: DeviceProfile, compiled: Mapping[str, Artifact] | None = None
    ) -> dict[str, ComponentVerification]:
        """Verifies components: QDQ graphs against float, then context binaries against QDQ graphs, side by side.

        Args:
            components: names.
            profile: the SoC.
            compiled: what is verified of each in the place of the context binary that is compiled here: its DLC, or a
                binary that was compiled elsewhere.

        Raises:
            VerificationError: a gate refuses one. Those that were verified before it stay so.
        """
        verified = {component: self.verify_quantization(component) for component in components}
        binaries = self._compiled(components, (profile,)) if compiled is None else compiled
        artifacts: dict[str, Artifact] = {}
        for owner in dict.fromkeys(map(self._owner, components)):
            artifacts |= verify_stage.verify_binaries(
                owner._context,
                profile,
                {name: owner.quantize(name) for name in components if self._owner(name) is owner},
                binaries,
                owner._verification_plan,
                owner.verification(),
            )
        for name, artifact in artifacts.items():
            if self._context.dry_run and not artifact.metadata:
                found = NOT_MEASURED
            else:
                found = verify_stage.measured_figures(artifact, SqnrSummary)
            verified[name] = verified[name].model_copy(update={"binary_against_qdq": found})
            if not self._context.dry_run:
                self.measured[name] = verified[name]
                gate = binary_gate(profile.htp_arch)
                require_gate(gate, name, found, *verify_stage.likely_cause_in_versions())
        return verified

    def _emulator_inputs(self, component: str) -> list[VerificationInput]:
        return verify_stage.emulator_inputs(self._context, component, self._verification_plan, self.verification())

"""What components compute on a phone, held against this machine's emulator and CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.metrics import MIN_SQNR_DB
from qnn_sd.recording_runner import RecordingRunner, Sample
from qnn_sd.runner import Runner, only_output
from qnn_sd.targets.adb.diagnostics.checklist import Details
from qnn_sd.targets.adb.diagnostics.connection_checks import ConnectionChecks
from qnn_sd.targets.adb.diagnostics.context import GeneratedImage, Image
from qnn_sd.targets.adb.diagnostics.thresholds import (
    MIN_IMAGE_PSNR_DB,
    match_of_images,
    match_of_outputs,
    require_matching_image,
    require_matching_outputs,
)
from qnn_sd.targets.adb.diagnostics.worker_checks import WorkerChecks
from qnn_sd.targets.adb.session.deployment import soc_of
from qnn_sd.targets.cpu import CpuRunner
from qnn_sd.targets.emulator import EmulatorRunner


class ResultChecks:
    """Steps that compute; all need the reference, and the worker with its components loaded.

    Args:
        generate: generates a fixed image with a bundle's components on a runner, the same one each time.
        way: to the phone.
        worker: on it.

    Attributes:
        image: the phone's, or None.
    """

    def __init__(
        self, generate: Callable[[Runner, OpenBundle], GeneratedImage], way: ConnectionChecks, worker: WorkerChecks
    ) -> None:
        self._generate, self._way, self._worker = generate, way, worker
        self._samples: Mapping[str, list[Sample]]
        self._reference: Image
        self.image: Image | None = None

    def generate_reference(self, told: Details) -> str:
        """What the phone is held against: the emulator's image, and each component's calls for it."""
        soc = soc_of(self._way.bundle)
        recorder = RecordingRunner(EmulatorRunner(self._way.bundle.file, soc.soc_model, soc.htp_arch))
        generated = self._generate(recorder, self._way.bundle)
        self._samples = {name: _spread(samples) for name, samples in recorder.samples.items()}
        self._reference = generated.image
        told["samples"] = {name: len(samples) for name, samples in self._samples.items()}
        return "the HTP emulator generated the image and what each component answered is kept"

    def compare(self, component: str, told: Details) -> str:
        """A component's results against the emulator's and the QDQ graph's."""
        samples = self._samples[component]
        found = [only_output(component, self._worker.runner.run(component, sample.feeds)) for sample in samples]
        qdq = CpuRunner(self._way.bundle.fallback)
        qdq.load(component)
        on_cpu = [only_output(component, qdq.run(component, sample.feeds)) for sample in samples]
        on_emulator = [only_output(component, sample.outputs) for sample in samples]
        with_emulator, with_graph = match_of_outputs(on_emulator, found), match_of_outputs(on_cpu, found)
        told |= {
            "calls": len(samples),
            "against_emulator": with_emulator.details,
            "against_qdq_graph": with_graph.details,
            "emulator_against_qdq_graph": match_of_outputs(on_cpu, on_emulator).details,
            "least_db": MIN_SQNR_DB,
        }
        require_matching_outputs(component, "the same binary on the emulator", with_emulator)
        require_matching_outputs(component, "its QDQ graph on the CPU", with_graph)
        return (
            f"against the emulator: {with_emulator.text}; against the QDQ graph: {with_graph.text} "
            f"(at least {MIN_SQNR_DB:.0f} dB each; calls: {len(samples)})"
        )

    def generate(self, told: Details) -> str:
        """The same image on the phone."""
        before = {name: len(measured.run_seconds) for name, measured in self._worker.runner.compute.items()}
        generated = self._generate(self._worker.runner, self._way.bundle)
        self.image = generated.image
        match = match_of_images(self._reference, generated.image)
        told |= {"against_emulator": match.details, "least_db": MIN_IMAGE_PSNR_DB, "components": {}}
        for name, (calls, seconds) in generated.usage.items():
            computing = sum(self._worker.runner.compute[name].run_seconds[before[name] :])
            told["components"][name] = {
                "calls": calls,
                "ms_per_call": round(1000 * seconds / calls, 3),
                "of_it_computing_ms": round(1000 * computing / calls, 3),
            }
        require_matching_image(match)
        times = ", ".join(
            f"{name} {each['ms_per_call']:,.1f} ({each['of_it_computing_ms']:,.1f})"
            for name, each in told["components"].items()
        )
        least = f"at least {MIN_IMAGE_PSNR_DB:.0f} dB"
        return f"against the emulator's: {match.text} ({least}); ms a call (computing): {times}"


def _spread(samples: list[Sample]) -> list[Sample]:
    """The first, the middle and the last: from pure noise to a nearly finished image."""
    return [samples[place] for place in sorted({0, len(samples) // 2, len(samples) - 1})]

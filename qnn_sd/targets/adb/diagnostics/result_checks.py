"""Checks of the components' results on a phone, against this computer's emulator and CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.metrics import MIN_SQNR_DB
from qnn_sd.recording_runner import RecordingRunner, Sample
from qnn_sd.runner import Runner, only_output
from qnn_sd.targets.adb.diagnostics.checklist import Details
from qnn_sd.targets.adb.diagnostics.comparison import (
    MIN_IMAGE_PSNR_DB,
    compare_images,
    compare_outputs,
    require_matching_image,
    require_matching_outputs,
)
from qnn_sd.targets.adb.diagnostics.connection_checks import ConnectionChecks
from qnn_sd.targets.adb.diagnostics.context import GeneratedImage, Image
from qnn_sd.targets.adb.diagnostics.worker_checks import WorkerChecks
from qnn_sd.targets.adb.session.deployment import soc_of
from qnn_sd.targets.cpu import CpuRunner
from qnn_sd.targets.emulator import EmulatorRunner


class ResultChecks:
    """The steps that compute; all need the reference, and a worker with the components loaded.

    Args:
        generate: generates a fixed image with a bundle's components on a runner, the same image each time.
        connection: the connection to the phone, with everything staged.
        worker: the worker on it.

    Attributes:
        image: the image that the phone generated, or None.
    """

    def __init__(
        self,
        generate: Callable[[Runner, OpenBundle], GeneratedImage],
        connection: ConnectionChecks,
        worker: WorkerChecks,
    ) -> None:
        self._generate, self._connection, self._worker = generate, connection, worker
        self._samples: Mapping[str, list[Sample]]
        self._reference: Image
        self.image: Image | None = None

    def generate_reference(self, details: Details) -> str:
        """The emulator's image, and samples of each component's calls for it: the phone is compared with them."""
        soc = soc_of(self._connection.bundle)
        recorder = RecordingRunner(EmulatorRunner(self._connection.bundle.file, soc.soc_model, soc.htp_arch))
        generated = self._generate(recorder, self._connection.bundle)
        self._samples = {name: _first_middle_last(samples) for name, samples in recorder.samples.items()}
        self._reference = generated.image
        details["samples"] = {name: len(samples) for name, samples in self._samples.items()}
        return "the HTP emulator generated the image; inputs and outputs of each component are recorded"

    def compare(self, component: str, details: Details) -> str:
        """A component's outputs, against those of the emulator and of the QDQ graph on the CPU."""
        samples = self._samples[component]
        found = [only_output(component, self._worker.runner.run(component, sample.feeds)) for sample in samples]
        qdq = CpuRunner(self._connection.bundle.fallback)
        qdq.load(component)
        on_cpu = [only_output(component, qdq.run(component, sample.feeds)) for sample in samples]
        on_emulator = [only_output(component, sample.outputs) for sample in samples]
        with_emulator, with_graph = compare_outputs(on_emulator, found), compare_outputs(on_cpu, found)
        details |= {
            "calls": len(samples),
            "against_emulator": with_emulator.details,
            "against_qdq_graph": with_graph.details,
            "emulator_against_qdq_graph": compare_outputs(on_cpu, on_emulator).details,
            "min_db": MIN_SQNR_DB,
        }
        require_matching_outputs(component, "the same binary on the emulator", with_emulator)
        require_matching_outputs(component, "its QDQ graph on the CPU", with_graph)
        return (
            f"against the emulator: {with_emulator.text}; against the QDQ graph: {with_graph.text} "
            f"(at least {MIN_SQNR_DB:.0f} dB each; calls: {len(samples)})"
        )

    def generate(self, details: Details) -> str:
        """The image, generated on the phone."""
        before = {name: len(measured.run_seconds) for name, measured in self._worker.runner.compute.items()}
        generated = self._generate(self._worker.runner, self._connection.bundle)
        self.image = generated.image
        match = compare_images(self._reference, generated.image)
        details |= {"against_emulator": match.details, "min_db": MIN_IMAGE_PSNR_DB, "components": {}}
        for name, (calls, seconds) in generated.usage.items():
            computing = sum(self._worker.runner.compute[name].run_seconds[before[name] :])
            details["components"][name] = {
                "calls": calls,
                "ms_per_call": round(1000 * seconds / calls, 3),
                "of_it_computing_ms": round(1000 * computing / calls, 3),
            }
        require_matching_image(match)
        times = ", ".join(
            f"{name} {each['ms_per_call']:,.1f} ({each['of_it_computing_ms']:,.1f})"
            for name, each in details["components"].items()
        )
        threshold = f"at least {MIN_IMAGE_PSNR_DB:.0f} dB"
        return f"against the emulator's: {match.text} ({threshold}); ms a call (computing): {times}"


def _first_middle_last(samples: list[Sample]) -> list[Sample]:
    """From pure noise to a nearly finished image."""
    return [samples[index] for index in sorted({0, len(samples) // 2, len(samples) - 1})]

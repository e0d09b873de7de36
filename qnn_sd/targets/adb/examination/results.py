"""What components compute on a phone, held against this machine's emulator and CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qnn_sd.bundle_format import OpenBundle
from qnn_sd.metrics import FAITHFUL_DB
from qnn_sd.recording import RecordingRunner, Sample
from qnn_sd.runner import Runner
from qnn_sd.targets.adb.deployment import soc_of
from qnn_sd.targets.adb.examination.checklist import Facts
from qnn_sd.targets.adb.examination.likeness import PICTURE_DB, hold_outputs, hold_picture, of_outputs, of_pictures
from qnn_sd.targets.adb.examination.means import Painted, Picture
from qnn_sd.targets.adb.examination.way import WayToPhone
from qnn_sd.targets.adb.examination.worker import ExaminedWorker
from qnn_sd.targets.cpu import CpuRunner
from qnn_sd.targets.emulator import EmulatorRunner


class Results:
    """Steps that compute; all need the reference, and the worker with its components loaded.

    Args:
        painter: paints a fixed picture with a bundle's components on a runner, the same one each time.
        way: to the phone.
        worker: on it.

    Attributes:
        picture: the phone's, or None.
    """

    def __init__(
        self, painter: Callable[[Runner, OpenBundle], Painted], way: WayToPhone, worker: ExaminedWorker
    ) -> None:
        self._painter, self._way, self._worker = painter, way, worker
        self._samples: Mapping[str, list[Sample]]
        self._reference: Picture
        self.picture: Picture | None = None

    def paint_reference(self, told: Facts) -> str:
        """What the phone is held against: the emulator's picture, and each component's calls for it."""
        soc = soc_of(self._way.bundle)
        recorder = RecordingRunner(EmulatorRunner(self._way.bundle.file, soc.soc_model, soc.htp_arch))
        painted = self._painter(recorder, self._way.bundle)
        self._samples = {name: _spread(samples) for name, samples in recorder.samples.items()}
        self._reference = painted.picture
        told["samples"] = {name: len(samples) for name, samples in self._samples.items()}
        return "the HTP emulator painted the picture and what each component answered is kept"

    def compare(self, component: str, told: Facts) -> str:
        """A component's results against the emulator's and the QDQ graph's."""
        samples = self._samples[component]
        found = [self._worker.runner.run(component, sample.feeds) for sample in samples]
        qdq = CpuRunner(self._way.bundle.fallback)
        qdq.load(component)
        on_cpu = [qdq.run(component, sample.feeds) for sample in samples]
        on_emulator = [sample.output for sample in samples]
        with_emulator, with_graph = of_outputs(on_emulator, found), of_outputs(on_cpu, found)
        told |= {
            "calls": len(samples),
            "against_emulator": with_emulator.facts,
            "against_qdq_graph": with_graph.facts,
            "emulator_against_qdq_graph": of_outputs(on_cpu, on_emulator).facts,
            "least_db": FAITHFUL_DB,
        }
        hold_outputs(component, "the same binary on the emulator", with_emulator)
        hold_outputs(component, "its QDQ graph on the CPU", with_graph)
        return (
            f"against the emulator: {with_emulator.text}; against the QDQ graph: {with_graph.text} "
            f"(at least {FAITHFUL_DB:.0f} dB each; calls: {len(samples)})"
        )

    def paint(self, told: Facts) -> str:
        """The same picture on the phone."""
        before = {name: len(measured.run_seconds) for name, measured in self._worker.runner.compute.items()}
        painted = self._painter(self._worker.runner, self._way.bundle)
        self.picture = painted.picture
        likeness = of_pictures(self._reference, painted.picture)
        told |= {"against_emulator": likeness.facts, "least_db": PICTURE_DB, "components": {}}
        for name, (calls, seconds) in painted.usage.items():
            computing = sum(self._worker.runner.compute[name].run_seconds[before[name] :])
            told["components"][name] = {
                "calls": calls,
                "ms_per_call": round(1000 * seconds / calls, 3),
                "of_it_computing_ms": round(1000 * computing / calls, 3),
            }
        hold_picture(likeness)
        times = ", ".join(
            f"{name} {each['ms_per_call']:,.1f} ({each['of_it_computing_ms']:,.1f})"
            for name, each in told["components"].items()
        )
        return f"against the emulator's: {likeness.text} (at least {PICTURE_DB:.0f} dB); ms a call (computing): {times}"


def _spread(samples: list[Sample]) -> list[Sample]:
    """The first, the middle and the last: from pure noise to a nearly finished picture."""
    return [samples[place] for place in sorted({0, len(samples) // 2, len(samples) - 1})]

"""What was measured."""

from __future__ import annotations

from dataclasses import dataclass

from qnn_sd.errors import DeviceError
from qnn_sd.targets.adb.bench.percentiles import percentiles_of
from qnn_sd.targets.adb.staging import StagingResult
from qnn_sd.targets.adb.worker.protocol import Battery, ThermalZone


@dataclass(frozen=True)
class Call:
    """One call: of the UNet, a sampling step with all its guidance passes.

    Attributes:
        wall_seconds: as the host sees it.
        pass_seconds: the graph alone, on the worker's clock; one for each pass.
    """

    wall_seconds: float
    pass_seconds: tuple[float, ...]

    @property
    def computing_seconds(self) -> float:
        """The passes together."""
        return sum(self.pass_seconds)

    @property
    def host_path_seconds(self) -> float:
        """What is left: the cable, both of its ends, and the passes' combination."""
        return self.wall_seconds - self.computing_seconds


@dataclass(frozen=True)
class ColdRun:
    """A fresh worker's first call. Its files are staged, and may be in the phone's page cache.

    Attributes:
        start_seconds: until the worker answers.
        load_seconds: of loading the component, on the worker's clock.
        loaded: whether this worker loaded it; False if it found it loaded.
        first: the first call; the UNet's brings the embeddings to the phone as well.
    """

    start_seconds: float
    load_seconds: float
    loaded: bool
    first: Call


@dataclass(frozen=True)
class Condition:
    """A phone's, at one moment.

    Attributes:
        peak_bytes: most memory that the worker had so far; 0 where it can't be read.
        battery: None where it can't be read.
        warmest: the warmest thermal zone that can be read, or None.
    """

    peak_bytes: int
    battery: Battery | None
    warmest: ThermalZone | None


@dataclass(frozen=True)
class Measured:
    """A component in one perf mode.

    Attributes:
        perf_mode: QNN's ``htp_performance_mode``.
        component: its name.
        cold: each fresh worker.
        warm: each call in the warm worker, less the first.
        warm_loaded: whether the warm worker loaded it, as it does once.
        before: the phone in the first cold run, before the call.
        after: the phone after the last warm call.
    """

    perf_mode: str
    component: str
    cold: tuple[ColdRun, ...]
    warm: tuple[Call, ...]
    warm_loaded: bool
    before: Condition
    after: Condition


@dataclass(frozen=True)
class Refused:
    """A component that the phone's HTP can't load or run.

    Attributes:
        perf_mode: QNN's ``htp_performance_mode``.
        component: its name.
        reason: what the worker said.
        cause: the error itself, with the worker's log as a note.
    """

    perf_mode: str
    component: str
    reason: str
    cause: Exception | None = None


@dataclass(frozen=True)
class Measurement:
    """Everything that was asked for.

    Attributes:
        staged: what was sent before.
        results: one for each perf mode and component, in the order asked for.
        broken_off: what happened to the phone, if only the first of them could be measured.
    """

    staged: StagingResult
    results: tuple[Measured | Refused, ...]
    broken_off: DeviceError | None = None

    def image_seconds(self, perf_mode: str, steps: int, passes: int) -> float | None:
        """An estimate of an image's time, from the warm calls' medians; None unless all three components have one.

        The text encoder once for each pass's prompt, the UNet once a step, the VAE decoder once. Starting the
        worker, loading and the sampler's own arithmetic aren't in it.

        Args:
            perf_mode: in which the components were measured.
            steps: sampling steps.
            passes: guidance passes in a step, as measured.
        """
        calls = {"text_encoder": passes, "unet": steps, "vae_decoder": 1}
        median = {
            each.component: percentiles_of([call.wall_seconds for call in each.warm]).median
            for each in self.results
            if isinstance(each, Measured) and each.perf_mode == perf_mode
        }
        if not calls.keys() <= median.keys():
            return None
        return sum(count * median[component] for component, count in calls.items())

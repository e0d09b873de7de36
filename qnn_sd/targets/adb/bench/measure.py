"""Components of a bundle, timed on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.component_io import guidance_inputs
from qnn_sd.console import Bar, Console
from qnn_sd.errors import DeviceError, SettingError, TargetError, WorkerEndedError, did_you_mean
from qnn_sd.targets.adb.bench.inputs import BenchInputs, random_inputs
from qnn_sd.targets.adb.bench.results import Call, ColdRun, Condition, Measured, Measurement, Refused
from qnn_sd.targets.adb.bench.settings import BenchSettings
from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.session.deployment import Deployment, deployed

# Any scale will do: it changes no time.
_GUIDANCE = 7.5


def measure(
    phone: Phone, bundle: OpenBundle, settings: BenchSettings, passes: int, cache: Path, console: Console
) -> Measurement:
    """Times components on a phone's HTP, one after the other, each in workers of its own.

    Args:
        phone: which one.
        bundle: for its SoC.
        settings: what is to be measured.
        passes: guidance passes in a call of a component that runs with guidance, 1 or 2.
        cache: where the runtime libraries were fetched to.
        console: for progress; told of each component that the HTP refuses.

    Returns:
        What was measured, up to the phone's going away.

    Raises:
        SettingError: a component that the bundle lacks.
        CheckpointError: the bundle's tokenizer can't be read.
        RuntimeLibraryError: no libraries that load the bundle's binaries.
        StagingError: the phone can't take the files.
        DeviceError: it went away before anything was measured.
        TargetError: the worker doesn't start.
    """
    known = bundle.info.components
    for name in settings.components:
        if name not in known:
            raise SettingError(
                f"The bundle has no {name}", why=f"It is {bundle.folder}.", hint=did_you_mean(name, known)
            )
    vocabulary = len(bundle.tokenizer.tokens)
    # Before any clock runs, and once for all: a transfer heats the phone, too.
    with deployed(phone, bundle, settings.components, cache, console, fallback=False, cold=True) as deployment:
        staged = deployment.staged
    results: list[Measured | Refused] = []
    for mode in settings.perf_modes:
        for component in settings.components:
            subject = _Subject(phone, bundle, component, mode, passes, vocabulary, cache)
            with console.progress(f"{component}, {mode}", settings.cold + 1 + settings.rounds) as bar:
                try:
                    results.append(_measured(subject, settings, bar))
                except _RefusedError as error:
                    results.append(Refused(mode, component, error.reason, error))
                except DeviceError as error:
                    if not results:
                        raise
                    return Measurement(staged, tuple(results), error)
            if isinstance(results[-1], Refused):
                console.warn(f"{component} can't be measured on the HTP ({mode}): {results[-1].reason}")
    return Measurement(staged, tuple(results))


class _RefusedError(Exception):
    """A worker that started can't load or run a component."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class _Subject:
    """What is measured, and where: a component in one perf mode."""

    phone: Phone
    bundle: OpenBundle
    component: str
    perf_mode: str
    passes: int
    vocabulary: int
    cache: Path

    @contextmanager
    def loaded(self) -> Iterator[_Loaded]:
        """The component in a fresh worker, while the block runs."""
        # The bar that runs already is the progress; nothing is staged any more.
        quiet = Console(quiet=True)
        with deployed(
            self.phone,
            self.bundle,
            (self.component,),
            self.cache,
            quiet,
            fallback=False,
            perf_mode=self.perf_mode,
            cold=True,
        ) as deployment:
            try:
                deployment.runner.load(self.component)
                specs = deployment.client.opened(self.component).inputs
                differing = guidance_inputs(self.component)
                yield _Loaded(self, deployment, random_inputs(specs, self.vocabulary, differing, self.passes))
            except (TargetError, WorkerEndedError) as error:
                raise _RefusedError(error.why or error.what) from error


@dataclass(frozen=True)
class _Loaded:
    """A component in a worker, with what it is fed."""

    subject: _Subject
    deployment: Deployment
    inputs: BenchInputs

    def call(self) -> Call:
        """Runs it once."""
        component, runner = self.subject.component, self.deployment.runner
        computed = self.deployment.compute[component].run_seconds
        before = len(computed)
        started = time.perf_counter()
        if self.inputs.passes:
            runner.run_guided(component, self.inputs.feeds, self.inputs.passes, _GUIDANCE)
        else:
            runner.run(component, self.inputs.feeds)
        return Call(time.perf_counter() - started, tuple(computed[before:]))

    @property
    def loaded_now(self) -> bool:
        """Whether this worker loaded it; False if it found it loaded."""
        return self.deployment.client.opened(self.subject.component).loaded

    @property
    def load_seconds(self) -> float:
        """Of loading it, on the worker's clock."""
        return self.deployment.compute[self.subject.component].load_seconds

    def condition(self) -> Condition:
        """The phone's, now."""
        status = self.deployment.status()
        return Condition(
            status.peak_bytes, status.battery, max(status.zones, key=lambda zone: zone.degrees, default=None)
        )


def _measured(subject: _Subject, settings: BenchSettings, bar: Bar) -> Measured:
    cold: list[ColdRun] = []
    before: Condition | None = None
    for _run in range(settings.cold):
        with subject.loaded() as fresh:
            before = before or fresh.condition()
            cold.append(ColdRun(fresh.deployment.start_seconds, fresh.load_seconds, fresh.loaded_now, fresh.call()))
        bar.advance("cold")
    assert before is not None  # there is at least one cold run
    with subject.loaded() as kept:
        kept.call()
        bar.advance("warm-up")
        warm: list[Call] = []
        for _round in range(settings.rounds):
            warm.append(kept.call())
            bar.advance(f"{1000 * warm[-1].wall_seconds:,.1f} ms")
        after, loaded = kept.condition(), kept.loaded_now
    return Measured(subject.perf_mode, subject.component, tuple(cold), tuple(warm), loaded, before, after)

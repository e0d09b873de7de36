"""What ``qnn-sd bench`` tells: tables for people, one document for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from qnn_sd import __version__, qnn_provider
from qnn_sd.cli.documents import BenchDocument, ErrorDetail
from qnn_sd.cli.documents.bench import (
    CallTimes,
    ColdStarts,
    Distribution,
    ImageEstimate,
    MeasuredComponent,
    PhoneCondition,
    RefusedComponent,
    WarmCalls,
)
from qnn_sd.cli.documents.phones import BatteryState, PhoneDescription, ThermalZoneState
from qnn_sd.cli.stage_output import image_size
from qnn_sd.config import DeviceProfile, ModelConfig
from qnn_sd.console import Console
from qnn_sd.errors import QnnSdError
from qnn_sd.targets.adb.bench import (
    BenchSettings,
    Call,
    ColdRun,
    Condition,
    Measured,
    Measurement,
    Refused,
    percentiles_of,
)
from qnn_sd.targets.adb.client import PhoneInfo

VIRTUAL_NOTE = (
    "This is a virtual phone: its times are this machine's and the HTP emulator's, and say nothing about a phone."
)
_REFUSED = "not on the HTP"


@dataclass(frozen=True)
class BenchReportContext:
    """What was measured.

    Attributes:
        serial: the phone's name at adb.
        phone: what it says of itself.
        virtual: whether it is no real one.
        profile: whose binaries ran.
        model: with its default steps.
        passes: guidance passes in a sampling step.
    """

    serial: str
    phone: PhoneInfo
    virtual: bool
    profile: DeviceProfile
    model: ModelConfig
    passes: int


# Tables


def show(console: Console, subject: BenchReportContext, settings: BenchSettings, measurement: Measurement) -> None:
    """Prints for each perf mode the warm calls, with what the HTP refuses, the cold starts and the estimate."""
    if subject.virtual:
        console.result(VIRTUAL_NOTE)
    for mode in settings.perf_modes:
        results = [each for each in measurement.results if each.perf_mode == mode]
        if not results:
            continue
        console.result(f"{mode}, warm: {settings.rounds} calls in one worker, ms; a step is {_passes(subject)}")
        columns = ["component", "call", "median", "10 %", "90 %", "least", "most", "computing", "host path"]
        console.table(columns, [row for each in results for row in _warm_rows(each)])
        for each in results:
            if isinstance(each, Refused):
                console.result(f"{each.component}: {_REFUSED}: {each.reason}")
        measured = [each for each in results if isinstance(each, Measured)]
        if measured:
            _show_cold(console, mode, settings, measured)
        seconds = measurement.image_seconds(mode, subject.model.steps, subject.passes)
        if seconds is not None:
            console.result(f"{mode}, estimate of an image: {seconds:,.2f} s ({_sum_of_calls(subject)})")


def _show_cold(console: Console, mode: str, settings: BenchSettings, measured: Sequence[Measured]) -> None:
    console.result(f"{mode}, cold: a fresh worker each time, {settings.cold} in all; median (least to most)")
    console.table(["component", "start s", "load s", "first call ms"], [_cold_row(each) for each in measured])
    console.result(f"{mode}, the phone: most memory of the warm worker; the rest before and after all calls")
    columns = ["component", "peak MB", "battery %", "battery °C", "warmest zone °C"]
    console.table(columns, [_phone_row(each) for each in measured])


def _passes(subject: BenchReportContext) -> str:
    return "one pass" if subject.passes == 1 else f"{subject.passes} passes"


def _sum_of_calls(subject: BenchReportContext) -> str:
    return (
        f"{subject.passes} x text encoder + {subject.model.steps} x UNet step + VAE decoder, medians; "
        "added up, no image was made"
    )


def _warm_rows(result: Measured | Refused) -> list[list[object]]:
    if isinstance(result, Refused):
        return [[result.component, _REFUSED, *[""] * 7]]
    if len(result.warm[0].pass_seconds) == 1:
        return [[result.component, "one", *_milliseconds(result.warm)]]
    return [
        [result.component, "step", *_milliseconds(result.warm)],
        [result.component, "pass", *_milliseconds(_passes_of(result.warm))],
    ]


def _milliseconds(calls: Sequence[Call]) -> list[object]:
    wall = percentiles_of([1000 * call.wall_seconds for call in calls])
    computing, path = (
        percentiles_of([1000 * seconds for seconds in part]).median
        for part in ([call.computing_seconds for call in calls], [call.host_path_seconds for call in calls])
    )
    return [wall.median, wall.p10, wall.p90, wall.least, wall.most, computing, path]


def _passes_of(calls: Sequence[Call]) -> list[Call]:
    """Each pass as a call: its own computing, and its share of what the host path adds."""
    return [
        Call(seconds + call.host_path_seconds / len(call.pass_seconds), (seconds,))
        for call in calls
        for seconds in call.pass_seconds
    ]


def _cold_row(result: Measured) -> list[object]:
    def cell(values: Sequence[float], digits: int) -> str:
        spread = percentiles_of(values)
        return f"{spread.median:,.{digits}f} ({spread.least:,.{digits}f} to {spread.most:,.{digits}f})"

    return [
        result.component,
        cell([run.start_seconds for run in result.cold], 2),
        cell([run.load_seconds for run in result.cold], 2),
        cell([1000 * run.first.wall_seconds for run in result.cold], 1),
    ]


def _phone_row(result: Measured) -> list[object]:
    batteries = [each.battery for each in (result.before, result.after) if each.battery]
    zones = [each.warmest for each in (result.before, result.after) if each.warmest]
    return [
        result.component,
        result.after.peak_bytes / 1e6,
        " → ".join(f"{battery.percent:.0f}" for battery in batteries),
        " → ".join(f"{battery.degrees:.1f}" for battery in batteries),
        " → ".join(f"{zone.degrees:.1f} ({zone.name})" for zone in zones),
    ]


# The document


def as_document(
    subject: BenchReportContext, settings: BenchSettings, measurement: Measurement, error: QnnSdError | None
) -> BenchDocument:
    """The measurement as JSON; times in seconds, memory in bytes, temperatures in °C.

    Args:
        subject: what was measured.
        settings: what was asked for.
        measurement: the figures.
        error: what the command ends with, or None.
    """
    model = subject.model
    estimates = {mode: measurement.image_seconds(mode, model.steps, subject.passes) for mode in settings.perf_modes}
    return BenchDocument(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"qnn-sd": __version__, **qnn_provider.versions()},
        virtual=subject.virtual,
        note=VIRTUAL_NOTE if subject.virtual else None,
        phone=PhoneDescription.of(subject.serial, subject.phone),
        soc=subject.profile.soc,
        dl_mode=subject.profile.dl_mode,
        model=model.name,
        size=image_size(model),
        rounds=settings.rounds,
        cold_runs=settings.cold,
        staged_bytes=measurement.staged.sent_bytes,
        results=[_result(each) for each in measurement.results],
        estimates=[
            ImageEstimate(
                perf_mode=mode,
                what=f"An estimate, not a measurement: {_sum_of_calls(subject)}.",
                steps=model.steps,
                image_seconds=None if seconds is None else round(seconds, 6),
            )
            for mode, seconds in estimates.items()
        ],
        error=None if error is None else ErrorDetail.of(error),
    )


def _result(result: Measured | Refused) -> MeasuredComponent | RefusedComponent:
    if isinstance(result, Refused):
        return RefusedComponent(perf_mode=result.perf_mode, component=result.component, refused=result.reason)
    passes = len(result.warm[0].pass_seconds)
    return MeasuredComponent(
        perf_mode=result.perf_mode,
        component=result.component,
        passes_per_call=passes,
        cold=_cold(result.cold),
        warm=WarmCalls(
            loads=int(result.warm_loaded),
            calls=len(result.warm),
            passes=CallTimes(**_calls(_passes_of(result.warm))) if passes > 1 else None,
            **_calls(result.warm),
        ),
        peak_memory_bytes=result.after.peak_bytes,
        before=_condition(result.before),
        after=_condition(result.after),
    )


def _cold(runs: Sequence[ColdRun]) -> ColdStarts:
    return ColdStarts(
        loads=sum(run.loaded for run in runs),
        calls=len(runs),
        start_seconds=_distribution([run.start_seconds for run in runs]),
        load_seconds=_distribution([run.load_seconds for run in runs]),
        first_call=CallTimes(**_calls([run.first for run in runs])),
    )


def _calls(calls: Sequence[Call]) -> dict[str, Distribution]:
    return {
        "wall_seconds": _distribution([call.wall_seconds for call in calls]),
        "computing_seconds": _distribution([call.computing_seconds for call in calls]),
        "host_path_seconds": _distribution([call.host_path_seconds for call in calls]),
    }


def _distribution(values: Sequence[float]) -> Distribution:
    rounded = {name: round(value, 6) for name, value in asdict(percentiles_of(values)).items()}
    return Distribution(**rounded, samples=[round(value, 6) for value in values])


def _condition(condition: Condition) -> PhoneCondition:
    return PhoneCondition(
        battery=BatteryState.of(condition.battery),
        warmest_zone=None if condition.warmest is None else ThermalZoneState.of(condition.warmest),
    )

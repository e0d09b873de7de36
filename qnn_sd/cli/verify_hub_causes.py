"""What it may come from where a device parts from its emulator, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping

from qnn_sd.cli.documents.verify_hub import ComparedComponent, HubForm
from qnn_sd.cli.verify_hub_comparison import nearest_figures, parts
from qnn_sd.toolchain import release
from qnn_sd.verification import Gate

# Wrongly compiled graphs measure less (docs/htp-forms.md).
_MISCOMPILED_DB = 20.0
# Of calls of one component.
_FAR_APART_DB = 10.0
# Of the strength of the guidance difference; less is no cause of anything that could be seen.
_LEAST_CHANGE = 0.01
_HALF_PRECISION = (
    "Paths in fp16: the device may compute in half precision what the emulator computes in float32; every call has an "
    "error of that size"
)


def likely_causes(
    components: Mapping[str, ComparedComponent], limit: Gate, htp_arch: int, emulator_qairt: str | None
) -> list[str]:
    """What may be the cause, most likely first; empty where no component parts.

    Args:
        components: what was measured, in the order that an image needs them.
        limit: below which silicon and emulator part.
        htp_arch: Hexagon architecture of the device.
        emulator_qairt: version of the emulator; None where nobody knows.
    """
    apart = {name: each for name, each in components.items() if parts(each, name, limit)}
    if not apart:
        return []
    name, first = next(iter(apart.items()))
    causes = [
        _conditioning(name, first, limit),
        _versions(first, emulator_qairt),
        _miscompiled(first, htp_arch) or _single_calls(name, first) or _HALF_PRECISION,
    ]
    if len(apart) == len(components) > 1:
        causes.append("Something that all components share, such as the device's libraries: all of them part")
    return [each for each in causes if each]


def _miscompiled(first: ComparedComponent, htp_arch: int) -> str:
    if nearest_figures(first).all_db >= _MISCOMPILED_DB:
        return ""
    return (
        f"A miscompile that shows on an HTP v{htp_arch} alone: below {_MISCOMPILED_DB:.0f} dB is what wrongly compiled "
        "graphs give (docs/htp-forms.md)"
    )


def _versions(first: ComparedComponent, emulator: str | None) -> str:
    device = first.job.qairt
    if device is None or emulator is None:
        return f"Another QAIRT on the device than the emulator's {emulator or '(unknown)'}: the job's page names it"
    if release(device) != release(emulator):
        return f"The device ran QAIRT {device}, the emulator here is of {emulator}: other releases compute otherwise"
    return ""


def _conditioning(name: str, first: ComparedComponent, limit: Gate) -> str:
    figures, strength = nearest_figures(first), first.difference_gain
    if strength is None or figures.difference_db is None:
        return ""
    if abs(strength.gain - 1) > max(strength.margin, _LEAST_CHANGE):
        change = f"{abs(strength.gain - 1):.0%} {'weaker' if strength.gain < 1 else 'stronger'}"
        return f"The conditioning of {name}: what the prompt changes is {change} on the device"
    if figures.difference_db < limit.least_difference_db and figures.worst_db >= limit.least_db:
        return (
            f"A small error of {name} as a whole, which hides what the prompt changes: each pass is near enough, their "
            "difference isn't"
        )
    return ""


def _single_calls(name: str, first: ComparedComponent) -> str:
    best = max(each.sqnr.worst_db for each in first.by_call)
    low = [each for each in first.by_call if each.sqnr.worst_db < best - _FAR_APART_DB]
    if not low:
        return ""
    return (
        f"Values that only some calls of {name} have: {len(low)} of {len(first.by_call)} are more than "
        f"{_FAR_APART_DB:.0f} dB below the best"
    )


def next_steps(form: HubForm, component: str, *, reported: bool) -> str:
    """What to type after a refusal.

    Args:
        form: what was uploaded.
        component: the one that was refused.
        reported: whether a report is written.
    """
    report = "" if reported else " --report FILE.md writes a page to send, with the jobs' links."
    return f"{other_road(form, component)}{report}"


def other_road(form: HubForm, component: str = "") -> str:
    """What to type to have the same run by the other of two runtimes.

    Args:
        form: what was uploaded.
        component: that is meant; empty for all.
    """
    other = "onnx" if form == "bin" else "bin"
    runtime = "ONNX Runtime" if other == "onnx" else "QNN itself"
    named = f"--component {component} " if component else ""
    return f"Add {named}--hub-form {other}: then {runtime} runs the binary, and shows whether the road matters."

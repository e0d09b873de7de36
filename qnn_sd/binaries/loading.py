"""Where a context binary would load: the rules of HTP, VTCM and QAIRT version. Nothing is loaded to find out."""

from __future__ import annotations

from typing import Literal

from qnn_sd import qnn_provider
from qnn_sd.binaries.binary_info import BinaryInfo
from qnn_sd.config import DeviceProfile, StrictModel, known_soc
from qnn_sd.errors import TargetError
from qnn_sd.in_words import shown
from qnn_sd.toolchain import load_toolchains, loads, release, version

# From here on a newer HTP loads an older one's binaries; reported of v73 on v81, and of v68 on v69.
_FIRST_OF_THE_NEW = 73
Verdict = Literal["yes", "likely", "no", "unknown"]


class LoadingOnSoc(StrictModel):
    """Whether a context binary would load on a SoC.

    Attributes:
        soc: name of the device profile.
        loads: ``yes`` on the SoC that it was compiled for, ``likely`` where the HTP allows it.
        why: in words; empty where it is this SoC's.
    """

    soc: str
    loads: Verdict
    why: str


def soc_title(soc_model: int | None) -> str:
    """A SoC by QNN's number, such as ``SM8650 (soc_model 57)``."""
    if soc_model is None:
        return "a SoC that it doesn't name"
    known = known_soc(soc_model)
    return f"{'an unknown SoC' if known is None else known.name} (soc_model {soc_model})"


def loading_on(info: BinaryInfo, profile: DeviceProfile) -> LoadingOnSoc:
    """Whether a binary would load on a SoC, as far as its HTP and its VTCM say."""
    loads, why = _verdict(info, profile)
    return LoadingOnSoc(soc=profile.soc, loads=loads, why=why)


def _verdict(info: BinaryInfo, profile: DeviceProfile) -> tuple[Verdict, str]:
    built, chip = info.htp_arch, profile.htp_arch
    if built is None:
        return "unknown", "It doesn't say which HTP it is for."
    vtcm = max((graph.vtcm_bytes or 0 for graph in info.graphs), default=0)
    refusals = (
        (built > chip, f"It is for HTP v{built}, newer than the chip's v{chip}."),
        (
            built < _FIRST_OF_THE_NEW <= chip,
            f"An HTP v{chip} refuses binaries for one before v{_FIRST_OF_THE_NEW}.",
        ),
        (
            vtcm > profile.vtcm_mb << 20,
            f"It asks for {vtcm / (1 << 20):g} MB of VTCM, the chip has {profile.vtcm_mb}.",
        ),
    )
    refusal = next((why for refused, why in refusals if refused), None)
    if refusal is not None:
        return "no", refusal
    if built < chip:
        return "likely", f"A binary for HTP v{built}: it runs slower than one for v{chip}."
    if info.soc_model == profile.soc_model:
        return "yes", ""
    return "likely", f"The same HTP, of another chip: {soc_title(info.soc_model)}."


def qairt_of(info: BinaryInfo) -> str | None:
    """The QAIRT version that compiled a binary, such as ``2.50.40``; None where its build id is no version."""
    try:
        return ".".join(map(str, version(info.build_id)))
    except ValueError:
        return None


def emulator_qairt() -> str | None:
    """The QAIRT version of the emulator that is installed; None of a package that no set of versions has."""
    installed = qnn_provider.versions()["onnxruntime-qnn"]
    return next((each.qairt for each in load_toolchains().sets if each.onnxruntime_qnn == installed), None)


def refuse_newer_qairt(label: str, info: BinaryInfo) -> None:
    """Refuses what the emulator can't load, before it says so in its own words.

    Raises:
        TargetError: a newer QAIRT release compiled the binary.
    """
    binary, emulator = qairt_of(info), emulator_qairt()
    if binary is None or emulator is None or loads(emulator, binary):
        return
    raise TargetError(
        f"{shown(label)} was compiled by QAIRT {binary}, newer than the emulator's {emulator}",
        why='A runtime loads what its own release or an older one compiled; of others it says "Using newer context '
        'binary on old SDK".',
        hint=roads_to(binary, emulator),
    )


def roads_to(binary: str, runtime: str) -> str:
    """Both ways out where a binary is newer than a runtime: a newer runtime, or an older compiler.

    Args:
        binary: the QAIRT version that compiled it.
        runtime: the QAIRT version that is to load it.
    """
    newer = next((each for each in load_toolchains().sets if loads(each.qairt, binary)), None)
    series = ".".join(map(str, release(runtime)))
    newest = "a newer onnxruntime-qnn" if newer is None else newer.install
    return (
        f"Either a newer runtime: {newest} (docs/toolchains.md). Or an older compiler: compile it again with QAIRT "
        f"{series}, here (qnn-sd compile) or at AI Hub (--qairt_version {series})."
    )

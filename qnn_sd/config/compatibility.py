"""Which binaries load on a SoC that they weren't compiled for: what a phone without a profile of its own gets.

What is known, from others' reports; nothing here was tried on a phone:

- A runtime for HTP v73 or later refuses a binary of an earlier one (onnxruntime-qnn, pull request 482). v68 code runs
  on a v69 (ExecuTorch, issue 1176), v73 code on a v81 (ultralytics/yolo-flutter-app, pull request 526).
- A binary of a newer HTP isn't loaded by an older one.
- A binary that asks for more VTCM than there is is refused (5005: ExecuTorch, issue 9084).
- The same HTP version isn't enough: SM8850's binary was refused on an SM8845 (1002: LiteRT, issue 7516).
- Local Dream v2.4.3 gives one v73 binary, SM8550's, to all later phones (Model.kt).
"""

from __future__ import annotations

from collections.abc import Iterable

from qnn_sd.config.device_profile import DeviceProfile
from qnn_sd.config.known_socs import KnownSoc, known_socs, soc_named
from qnn_sd.config.soc_names import soc_label

FIRST_OF_THE_LATER = 73
_REFUSED = {("sm8850", "SM8845")}
_GIVEN_BY_LOCAL_DREAM = {
    "sm8550": {"SM8550", "QCS8550", "SM8650", "SM8735", "SM8750", "SM8845", "SM8850"},
}


def why_not(profile: DeviceProfile, chip: KnownSoc) -> str:
    """Why a SoC's binaries don't load on another one; empty where nothing speaks against it.

    Args:
        profile: whose binaries.
        chip: where.
    """
    if chip.htp_arch is None:
        return f"{chip.name} has no HTP"
    if profile.htp_arch > chip.htp_arch:
        return f"binaries for HTP v{profile.htp_arch} don't load on {chip.name}'s v{chip.htp_arch}"
    if profile.htp_arch < FIRST_OF_THE_LATER <= chip.htp_arch:
        return (
            f"a runtime for HTP v{FIRST_OF_THE_LATER} or later, as {chip.name}'s, refuses v{profile.htp_arch} binaries"
        )
    if chip.vtcm_mb is not None and profile.vtcm_mb > chip.vtcm_mb:
        return f"they ask for {profile.vtcm_mb} MB of VTCM, and {chip.name} has {chip.vtcm_mb} (error 5005)"
    if (profile.soc, chip.name) in _REFUSED:
        return f"they were refused on an {chip.name} (error 1002), though both are v{chip.htp_arch}"
    return ""


def newest_that_loads(profiles: Iterable[DeviceProfile], chip: KnownSoc) -> DeviceProfile | None:
    """The newest binaries that a SoC's HTP loads; None where none do.

    Args:
        profiles: to choose from.
        chip: where they are to run.
    """
    loading = [each for each in profiles if not why_not(each, chip)]
    return max(loading, key=lambda each: _preference(each, chip), default=None)


def _preference(profile: DeviceProfile, chip: KnownSoc) -> tuple[bool, bool, int, int, bool]:
    """The same number first, then what is known to load, then the newest and largest, then its own family."""
    return (
        profile.soc_model == chip.soc_model,
        _known_to_load(profile, chip),
        profile.htp_arch,
        profile.vtcm_mb,
        profile.soc[:2] == chip.name[:2].lower(),
    )


def _known_to_load(profile: DeviceProfile, chip: KnownSoc) -> bool:
    return chip.name in _GIVEN_BY_LOCAL_DREAM.get(profile.soc, ())


def reason_for(model: str, chip: KnownSoc, profile: DeviceProfile) -> str:
    """Why a SoC gets another one's binaries, a sentence or two for people.

    Args:
        model: the SoC as a phone reports it.
        chip: which that is.
        profile: whose binaries it gets.
    """
    start = f"{soc_label(model)} has no profile of its own: it gets the binaries for {profile.soc} ({profile.title})"
    if profile.soc_model == chip.soc_model:
        return f"{start}, which has the same number, {chip.soc_model}, to the compiler."
    start = f"{start}, HTP v{profile.htp_arch} on its v{chip.htp_arch}."
    if _known_to_load(profile, chip):
        return f"{start} Others run such a binary there; one compiled for it would be faster."
    return (
        f"{start} They are another SoC's and may be refused (error 1002){_instead(profile, chip)}. "
        "docs/socs.md says how to add a profile."
    )


def _instead(profile: DeviceProfile, chip: KnownSoc) -> str:
    """What to try then: the binary that others give to many phones, where its HTP and VTCM allow it."""
    able = chip.htp_arch is not None and chip.htp_arch >= FIRST_OF_THE_LATER and (chip.vtcm_mb or 0) >= 8
    return "; then try --soc sm8550" if able and profile.soc != "sm8550" else ""


def caution_for(profile: DeviceProfile, model: str) -> str:
    """What to say where somebody chose a SoC's binaries for a phone that reports another one.

    Args:
        profile: whose binaries.
        model: as the phone reports it.
    """
    chip = soc_named(model)
    if chip is None or chip.soc_model == profile.soc_model:
        return ""
    against = why_not(profile, chip)
    if against:
        return against
    if chip.htp_arch == profile.htp_arch:
        return f"both are HTP v{chip.htp_arch}, and a binary of another SoC may be refused all the same (error 1002)"
    return f"HTP v{profile.htp_arch} binaries on a v{chip.htp_arch}"


def nearest(model: str) -> str:
    """The known SoC with the nearest part number, for people; empty where no letters agree. It says nothing of an HTP.

    Args:
        model: a part number that isn't known.
    """
    letters, number = _split(model)
    same = [each for each in known_socs().values() if _split(each.name)[0] == letters and letters and each.htp_arch]
    if not same or number == 0:
        return ""
    return min(same, key=lambda each: abs(_split(each.name)[1] - number)).described


def _split(name: str) -> tuple[str, int]:
    whole = name.strip().upper()
    letters = whole[: next((at for at, each in enumerate(whole) if not each.isalpha()), len(whole))]
    digits = whole[len(letters) :][:4]
    return letters, int(digits) if digits.isdigit() else 0

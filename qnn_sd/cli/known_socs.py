"""``qnn-sd devices --known``: the SoCs that there are profiles for, and what there is for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from qnn_sd import config, resources
from qnn_sd.bundle_manifest import BUNDLE_FILE, Bundle
from qnn_sd.cli.compiled_elsewhere import compiled_by
from qnn_sd.cli.documents import KnownSocsDocument
from qnn_sd.cli.documents.socs import CompiledBundle, KnownSocEntry, MeasuredAtHub, OtherSoc
from qnn_sd.cli.profile_report import in_seconds
from qnn_sd.cli.profile_results import kept_of
from qnn_sd.console import Console
from qnn_sd.runtime_libraries import load_pins
from qnn_sd.schemas import ImageSize

_COLUMNS = ("--soc", "name", "HTP", "soc_model", "VTCM", "fp16", "libraries", "times", "in the cache")


def show_known_socs(console: Console, cache: Path) -> None:
    """The table, or the document of ``--json``.

    Args:
        console: shows it.
        cache: where bundles are looked for.

    Raises:
        ConfigError: a profile's file is wrong.
    """
    document = known_socs_document(cache)
    console.table(_COLUMNS, [_row(each) for each in document.socs])
    for line in dict.fromkeys(line for each in document.socs for made in each.compiled for line in _measured(made)):
        console.result(line)
    console.result(
        f"{len(document.others)} more that the compiler of QAIRT {document.compiler} knows have no profile "
        f"(--json lists them). Profiles of your own: {document.folder}"
    )
    console.document(document)


def known_socs_document(cache: Path) -> KnownSocsDocument:
    """What is known of each SoC.

    Args:
        cache: where bundles are looked for.
    """
    known, paths = config.profiles(), config.profile_paths()
    bundles = list(_bundles(cache))
    entries = [
        _entry(profile, paths[soc], [made for name, made in bundles if name == soc]) for soc, profile in known.items()
    ]
    taken = {each.soc_model for each in known.values()}
    return KnownSocsDocument(
        compiler=config.known_qairt(),
        folder=str(resources.user_device_profiles()),
        socs=entries,
        others=[_other(each) for number, each in config.known_socs().items() if number not in taken],
    )


def _entry(profile: config.DeviceProfile, path: Path, compiled: list[CompiledBundle]) -> KnownSocEntry:
    return KnownSocEntry(
        **profile.model_dump(include={"soc", "title", "soc_model", "htp_arch", "vtcm_mb", "dl_mode"}),
        **profile.model_dump(include={"unlisted", "ddr_gb_s", "sources"}),
        **profile.limits.model_dump(),
        aliases=list(profile.aliases),
        ai_hub_chipsets=list(profile.ai_hub.chipsets),
        ai_hub_devices=list(profile.ai_hub.devices),
        file=str(path),
        own=path.parent != resources.device_profiles(),
        times="estimate" if profile.estimates else "scaled" if profile.published_ms else "none",
        phone_libraries=libraries_for_htp(profile.htp_arch),
        compiled=compiled,
    )


def libraries_for_htp(htp_arch: int) -> str | None:
    """The newest published QAIRT version with a phone's libraries for an HTP; None where there is none."""
    having = [each.qairt for each in load_pins().published if htp_arch in each.htp_archs]
    return having[-1] if having else None


def _other(soc: config.KnownSoc) -> OtherSoc:
    loading = config.stand_in(soc.name)
    return OtherSoc(
        part=soc.name,
        title=config.soc_label(soc.name).partition(", ")[2],
        soc_model=soc.soc_model,
        htp_arch=soc.htp_arch,
        vtcm_mb=soc.vtcm_mb,
        fp16=soc.fp16,
        loads=None if loading is None else loading.profile.soc,
        note=soc.note,
    )


def _bundles(cache: Path) -> Iterator[tuple[str, CompiledBundle]]:
    """The bundles of a cache, each with its SoC; what can't be read is none of this version's."""
    for path in sorted(cache.glob(f"bundle/*/{BUNDLE_FILE}")):
        try:
            info = Bundle.model_validate(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, ValidationError):
            continue
        if info.soc is None:
            continue
        worst = None
        if info.verification is not None and not info.further_socs:
            measured = {name: each.binary_against_qdq for name, each in info.verification.items()}
            worst = {name: each.worst_db for name, each in measured.items() if each is not None}
        socs = [each.name for each in (info.soc, *info.further_socs)]
        size = ImageSize(width=info.width, height=info.height)
        made = CompiledBundle(
            folder=str(path.parent),
            model=info.model,
            size=size,
            socs=socs,
            binary_against_qdq_db=worst,
            compiled_by=compiled_by(path.parent),
            measured=list(_kept(cache, path.parent.name)),
        )
        yield from ((name, made) for name in socs)


def _kept(cache: Path, bundle: str) -> Iterator[MeasuredAtHub]:
    """What was measured of a bundle at AI Hub; what a stand-in made up is no fact of a SoC."""
    for each in [each for each in kept_of(cache, bundle) if not each.stand_in]:
        [device] = each.devices
        yield MeasuredAtHub(
            name=device.name,
            os=device.os,
            made_at=each.made_at,
            image_seconds=device.image_seconds,
        )


def _measured(made: CompiledBundle) -> Iterator[str]:
    """A line for each device."""
    for each in made.measured:
        whole = "" if each.image_seconds is None else f"{in_seconds(each.image_seconds)} an image (computed), "
        build = f"{'+'.join(made.socs)}, {made.model} {made.size.width}x{made.size.height}"
        yield f"{build} measured at AI Hub: {whole}{each.name}, {each.made_at[:10]}"


def _row(each: KnownSocEntry) -> list[object]:
    return [
        each.soc,
        each.title,
        f"v{each.htp_arch}",
        str(each.soc_model),
        f"{each.vtcm_mb} MB",
        {True: "yes", False: "no", None: "unknown"}[each.fp16],
        each.phone_libraries or "none",
        {"estimate": "estimated", "scaled": "scaled", "none": ""}[each.times],
        "; ".join(dict.fromkeys(map(_in_the_cache, each.compiled))),
    ]


def _in_the_cache(made: CompiledBundle) -> str:
    where = f"{made.model} {made.size.width}x{made.size.height}"
    if made.compiled_by:
        where = f"{where} by {made.compiled_by}"
    if made.binary_against_qdq_db:
        return f"{where}, {min(made.binary_against_qdq_db.values()):.1f} dB"
    return f"{where}, not verified" if len(made.socs) == 1 else f"{where}, one file for {len(made.socs)} SoCs"

"""Writes the tables of docs/socs.md from ``device_profiles/`` and ``qnn_sd/config/known_socs.toml``.

    python tools/soc_docs.py

``tests/test_device_profiles.py`` fails until then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from qnn_sd import config, resources
from qnn_sd.cli.known_socs import libraries_for_htp
from qnn_sd.config import DeviceProfile

PAGE = Path(__file__).resolve().parents[1] / "docs" / "socs.md"
BEGIN, END = "<!-- {}: begin (python tools/soc_docs.py) -->\n", "<!-- {}: end -->\n"


def shipped() -> dict[str, DeviceProfile]:
    """The profiles without a user's own."""
    paths = config.profile_paths()
    return {
        soc: profile for soc, profile in config.profiles().items() if paths[soc].parent == resources.device_profiles()
    }


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]


def profile_rows() -> Iterator[str]:
    """What the compiler and the phone get."""
    columns = ("`--soc`", "name", "`soc_model`", "HTP", "VTCM", "fp16", "`dl_mode`", "times")
    columns += ("phone libraries", "first QAIRT", "memory")
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for soc, each in shipped().items():
        times = "the compiler's" if each.estimates else "scaled" if each.published_ms else ""
        cells = (
            f"`{soc}`",
            each.title,
            str(each.soc_model),
            f"v{each.htp_arch}",
            f"{each.vtcm_mb} MB",
            _yes(each.limits.fp16),
            str(each.dl_mode or ""),
            times,
            libraries_for_htp(each.htp_arch) or "none",
            each.limits.first_qairt or "",
            "" if each.ddr_gb_s is None else f"{each.ddr_gb_s:g} GB/s",
        )
        yield f"| {' | '.join(cells)} |"


def name_rows() -> Iterator[str]:
    """What else they are called."""
    yield "| `--soc` | also | at AI Hub |"
    yield "|---|---|---|"
    for soc, each in shipped().items():
        hub = ", ".join((*(f"`{name}`" for name in each.ai_hub.chipsets), *each.ai_hub.devices))
        yield f"| `{soc}` | {', '.join(each.aliases)} | {hub} |"


def source_rows() -> Iterator[str]:
    """Who says so."""
    yield "| who says | what, of which |"
    yield "|---|---|"
    said: dict[str, dict[str, list[str]]] = {}
    for soc, each in shipped().items():
        for field, source in each.sources.items():
            said.setdefault(source, {}).setdefault(field, []).append(soc)
    for source, fields in sorted(said.items(), key=lambda item: item[0].lower()):
        of = "; ".join(f"`{field}`: {_of(socs)}" for field, socs in fields.items())
        yield f"| {source} | {of} |"


def _of(socs: list[str]) -> str:
    return "all" if len(socs) == len(shipped()) else ", ".join(f"`{soc}`" for soc in socs)


def note_rows() -> Iterator[str]:
    """Where sources disagree."""
    yield "| `soc_model` | the compiler says | others say |"
    yield "|---|---|---|"
    for number, each in config.known_socs().items():
        if each.note:
            fp16 = "fp16" if each.fp16 else "no fp16"
            yield f"| {number} | {each.name}, v{each.compiled_arch}, {each.vtcm_mb} MB, {fp16} | {each.note} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "profiles": profile_rows,
    "names": name_rows,
    "disagreements": note_rows,
    "sources": source_rows,
}


def with_tables(page: str) -> str:
    """The page with its tables as the files have them."""
    for name, rows in TABLES.items():
        begin, end = BEGIN.format(name), END.format(name)
        head, found, rest = page.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{PAGE} lacks {begin.strip()} or {end.strip()}")
        page = head + begin + "\n".join(rows()) + "\n" + end + tail
    return page


def main() -> int:
    """Writes the page; returns the exit code."""
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

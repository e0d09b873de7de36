"""The docs hold together: links, anchors and paths lead somewhere, and what is generated or listed is current."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import error_table
import pytest
from conftest import ROOT

from qnn_sd.cli.app import cli

FOLDERS = ("docs", "requirements", "assets/prompts", "assets/tiny-sd")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))])
# Folders whose paths are written out from the repository's root.
OURS = "qnn_sd|tests|benchmarks|tools|worker|assets|docs|model_configs|device_profiles|requirements"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.M):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        plain = anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(linked), target


def test_a_link_to_no_heading_would_be_found() -> None:
    assert "what-is-compared" in anchors(ROOT / "docs" / "verification.md")
    assert "what-is-judged" not in anchors(ROOT / "docs" / "verification.md")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_paths_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # what it tells of may be gone
        return
    paths = re.findall(rf"`(?:python )?((?:{OURS})/[\w./-]*)[`: ]", prose(page))
    # docs/dev/ is in AOSP's adb.
    assert [path for path in paths if not path.startswith("docs/dev/") and not (ROOT / path).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        ahead += [
            (page.parent / target).resolve() for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", prose(page))
        ]
    assert set((ROOT / "docs").glob("*.md")) <= seen


def test_the_list_of_messages_is_current() -> None:
    """``python tools/error_table.py`` writes it again."""
    page = error_table.PAGE.read_text("utf-8")
    assert error_table.with_table(page, error_table.render(error_table.messages(ROOT / "qnn_sd"))) == page


MODULE = """
from qnn_sd.errors import QnnSdError

LIMIT = 5


class CableError(QnnSdError):
    exit_code = 77


class PulledError(CableError):
    def __init__(self, code, what, why):
        super().__init__(what, why=why, hint="Plug it in.")


def refuse(folder, soc, count, error):
    hint = "Plug it in." if count else "Buy one."
    if soc:
        raise CableError(f"{soc!r} in {folder / 'x'} has {len(count)} of {LIMIT}", why=str(error), hint=hint)
    return PulledError(3, "It was pulled", f"By {error.name}.")
"""


def test_messages_are_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    assert [
        (each.exit_code, each.error, each.what, each.why, each.next) for each in error_table.messages(tmp_path)
    ] == [
        (77, "CableError", "'<soc>' in <path> has <number> of 5", "…", "Plug it in. / Buy one."),
        (77, "PulledError", "It was pulled", "By <name>.", ""),
    ]
    table = error_table.render(error_table.messages(tmp_path))
    assert "### Exit code 77: `CableError` and `PulledError`" in table
    assert "| `It was pulled` | By \\<name>. |  |" in table


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        error_table.with_table("# Errors", "")


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `qnn-sd ([\w-]+)` \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert sorted(listed) == sorted(cli.commands)
    assert len(listed) == len(set(listed))


def test_the_page_of_benchmarks_lists_every_script() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8").split("## How to run them")[1]
    scripts = [path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text("utf-8")]
    listed = re.findall(r"^\| `python benchmarks/(\w+\.py)", page, re.M)
    # Run in AIMET's environment by adaround.py; a checkpoint for other benchmarks.
    assert sorted(listed) == sorted({path.name for path in scripts} - {"aimet_adaround.py", "random_checkpoint.py"})


def test_every_check_of_the_doctor_is_on_its_page() -> None:
    source = (ROOT / "qnn_sd" / "health_checks.py").read_text("utf-8")
    checks = re.findall(r'^        \("([\w ]+)", ', source, re.M)
    page = (ROOT / "docs" / "doctor.md").read_text("utf-8")
    assert checks
    assert re.findall(r"^\| `([\w ]+)` \|", page.split("## A phone")[0], re.M) == checks


def test_glossary_terms_have_a_meaning_and_a_source_and_are_in_order() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8").split("## Former names")[0]
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in re.findall(r"^\| .*\|$", page, re.M)][1:]
    assert len(rows) > 50
    assert all(len(row) == 3 and all(row) for row in rows)
    terms = [row[0].strip("`").lower().replace("_", "~") for row in rows]
    assert terms == sorted(terms)

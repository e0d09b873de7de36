"""The versions that were tried together, and all that has to agree with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT
from needs import BASE_LOCK, DEV_LOCK, asked_for, extras, locked
from packaging.utils import canonicalize_name
from packaging.version import Version

from qnn_sd.errors import ConfigError
from qnn_sd.runtime_libraries import load_pins
from qnn_sd.toolchain import TOOLCHAINS_FILE, Toolchain, load_toolchains, loads

KNOWN = load_toolchains()
PYTHONS = ("3.11.7", "3.12.1", "3.13.0", "3.14.0")


# --- the file


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("desktop_jvm = ", "desktop = ", "Did you mean desktop_jvm?"),
        ('default = "2.50"', 'default = "2.51"', "no set with libraries for a phone"),
        ('default = "2.50"', 'default = "2.5"', "no set with libraries for a phone"),
        ('qnn_runtime = "2.50.0"', 'qnn_runtime = "2.49.0"', "not of release 2.50"),
        ('onnxruntime_qnn = "2.7.0"', 'onnxruntime_qnn = "2.7"', "sets.3.onnxruntime_qnn"),
        ('name = "2.48"\nqairt = "2.48.40"', 'name = "2.49"\nqairt = "2.49.40"', "not of release 2.49"),
    ],
)
def test_the_file_is_strict(old: str, new: str, error: str, tmp_path: Path) -> None:
    text = TOOLCHAINS_FILE.read_text("utf-8")
    assert old in text
    (tmp_path / "toolchains.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_toolchains(tmp_path / "toolchains.toml")
    assert error in str(caught.value)


def test_sets_out_of_order_are_refused(tmp_path: Path) -> None:
    head, *sets = TOOLCHAINS_FILE.read_text("utf-8").split("[[sets]]")
    (tmp_path / "toolchains.toml").write_text("[[sets]]".join([head, *reversed(sets)]))
    with pytest.raises(ConfigError, match="not in order"):
        load_toolchains(tmp_path / "toolchains.toml")


def test_the_default_is_the_newest_set_that_published_phone_libraries_load() -> None:
    loadable = [each for each in KNOWN.sets if loads(KNOWN.newest_for_phones, each.qairt)]
    assert KNOWN.chosen == loadable[-1]


@pytest.mark.parametrize(
    ("runtime", "binary", "expected"),
    [
        ("2.50.0", "2.50.40", True),
        ("2.50.40", "2.50.0", True),
        ("2.51.0", "2.50.40", True),
        ("2.50.40", "2.51.0", False),
        ("2.9.0", "2.10.0", False),
        ("3.0.0", "2.99.9", True),
    ],
)
def test_releases_decide_what_loads(runtime: str, binary: str, expected: bool) -> None:
    assert loads(runtime, binary) is expected


def test_a_set_is_known_by_both_of_its_packages() -> None:
    for each in KNOWN.sets:
        assert KNOWN.of(dict(each.packages)) is each
    oldest, newest = KNOWN.sets[0], KNOWN.sets[-1]
    assert KNOWN.of({"onnxruntime": oldest.onnxruntime, "onnxruntime-qnn": newest.onnxruntime_qnn}) is None


# --- what has to agree with it


def test_every_dependency_has_both_bounds() -> None:
    for asked in asked_for(*extras()):
        operators = sorted(each.operator for each in asked.specifier)
        assert operators == ["<", ">="], str(asked)


def test_pyproject_asks_for_the_default_sets_series() -> None:
    specifiers = {asked.name: asked.specifier for asked in asked_for()}
    for name, number in KNOWN.chosen.packages.items():
        major, minor, _ = Version(number).release
        lower, upper = sorted(specifiers[name], key=lambda each: each.operator, reverse=True)
        assert (lower.version, upper.version) == (f"{major}.{minor}", f"{major}.{minor + 1}"), name


def test_the_pins_are_the_sets_with_libraries_for_a_phone() -> None:
    pins = load_pins()
    assert pins.desktop.coordinate == f"com.microsoft.onnxruntime:onnxruntime:{KNOWN.desktop_jvm}"
    assert [(entry.qairt, entry.compiler, *(pin.coordinate for pin in entry.pins)) for entry in pins.published] == [
        (
            each.phone.qnn_runtime,
            each.onnxruntime_qnn,
            f"com.qualcomm.qti:onnxruntime-android-qnn:{each.phone.plugin}",
            f"com.microsoft.onnxruntime:onnxruntime-android:{each.phone.onnxruntime}",
            f"com.qualcomm.qti:qnn-runtime:{each.phone.qnn_runtime}",
        )
        for each in KNOWN.sets
        if each.phone
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("lock", "wanted"), [(BASE_LOCK, ()), (DEV_LOCK, ("phone", "dev"))])
def test_the_locks_satisfy_pyproject_and_hold_the_default_set(lock: Path, wanted: tuple[str, ...], python: str) -> None:
    versions = locked(lock, python)
    for asked in asked_for(*wanted):
        assert asked.specifier.contains(versions[canonicalize_name(asked.name)]), str(asked)
    assert KNOWN.chosen.packages.items() <= versions.items()
    # Editable installs are built with it; without build isolation nothing else brings it.
    assert "editables" in versions


@pytest.mark.parametrize("python", PYTHONS)
def test_the_larger_lock_has_the_smaller_ones_versions(python: str) -> None:
    assert locked(BASE_LOCK, python).items() <= locked(DEV_LOCK, python).items()


def test_the_locks_name_no_index() -> None:
    for lock in (BASE_LOCK, DEV_LOCK):
        assert not re.search(r"^-|://", lock.read_text("utf-8"), re.M)


def test_the_locks_bring_no_torch_but_for_development() -> None:
    assert "torch" not in locked(BASE_LOCK)
    assert "torch" in locked(DEV_LOCK)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("numpy>=2\n", "no exact version"),
        ("numpy==2.4.6\nNumPy==2.5.5\n", "stands twice"),
        ("numpy==2.4.6 ; python_full_version < '3.13'\nnumpy==2.5.5 ; python_full_version >= '3.12'\n", "stands twice"),
    ],
)
def test_a_lock_that_is_none_is_refused(text: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(text)
    with pytest.raises(ValueError, match=error):
        locked(tmp_path / "lock.txt", "3.12.1")


# --- the documents


def table(document: str, first: str) -> list[list[str]]:
    """The rows below a table's head that begins with some cells."""
    lines = (ROOT / "docs" / document).read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def phone_of(each: Toolchain) -> str:
    phone = each.phone
    return f"{phone.plugin}, {phone.onnxruntime}, {phone.qnn_runtime}" if phone else "none"


def test_the_documents_sets_are_the_files() -> None:
    assert table("toolchains.md", "| set | `onnxruntime-qnn`") == [
        [
            f"**{each.name}**" if each == KNOWN.chosen else each.name,
            each.onnxruntime_qnn,
            each.qairt,
            each.onnxruntime,
            phone_of(each),
            ", ".join(each.python),
        ]
        for each in KNOWN.sets
    ]
    assert table("toolchains.md", "| set | what it costs") == [[each.name, each.costs] for each in KNOWN.sets]


def test_the_phones_document_has_the_files_versions() -> None:
    assert table("phone.md", "| compiled with") == [
        [f"`onnxruntime-qnn` {each.onnxruntime_qnn}", each.qairt, *phone_of(each).split(", "), each.phone.said_by]
        for each in KNOWN.sets
        if each.phone
    ]


def test_the_documents_command_is_the_newest_sets() -> None:
    text = (ROOT / "docs" / "toolchains.md").read_text("utf-8")
    assert KNOWN.sets[-1].install in text
    assert f"ONNX Runtime {KNOWN.desktop_jvm} in" in text


def test_a_set_is_installed_with_nothing_else_touched() -> None:
    pair = f"onnxruntime=={KNOWN.chosen.onnxruntime} onnxruntime-qnn=={KNOWN.chosen.onnxruntime_qnn}"
    assert KNOWN.chosen.install == f"pip install --no-deps {pair}"
    assert KNOWN.chosen.reinstall == f"pip install --force-reinstall --no-deps {pair}"

"""Device profiles: held against the compiler's table, a user's own beside the shipped ones, what is said of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soc_docs
import soc_table
from cli_here import CliHere
from conftest import ROOT

from qnn_sd import config, resources
from qnn_sd.cli.known_socs import libraries_for_htp
from qnn_sd.errors import ConfigError
from qnn_sd.runtime_libraries import load_pins

# As others have them: ONNX Runtime's soc_table.h, ExecuTorch's qc_schema.py, AI Hub Models 0.65.0.
OTHERS = {
    "sm8350": (30, 68, 4),
    "sm8450": (36, 69, 8),
    "sm8475": (42, 69, 8),
    "sm8550": (43, 73, 8),
    "sm8650": (57, 75, 8),
    "sm8635": (68, 73, None),
    "sm8750": (69, 79, 8),
    "sm8850": (87, 81, 8),
    "sm8950": (113, 85, None),
    "sc8380xp": (60, 73, None),
    "sc8480xp": (88, 81, None),
    "qcs6490": (93, 68, 2),
    "qcs9075": (77, 73, 8),
    "qcs8275": (82, 75, None),
    "sa8775p": (52, 73, 8),
}
WRITTEN = 'soc = "{soc}"\ntitle = "A chip"\nsoc_model = {number}\n'


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a profile into a user's folder."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("QNN_SD_DEVICE_PROFILES", str(folder))

    def write(name: str, text: str) -> Path:
        path = folder / f"{name}.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped profiles to break."""
    folder = tmp_path / "shipped"
    shutil.copytree(resources.device_profiles(), folder)
    monkeypatch.setattr(resources, "device_profiles", lambda: folder)
    return folder


@pytest.mark.parametrize("soc", OTHERS)
def test_profiles_have_the_numbers_that_others_have(soc: str) -> None:
    number, htp, vtcm = OTHERS[soc]
    profile = config.load_profile(soc)
    assert (profile.soc_model, profile.htp_arch) == (number, htp)
    assert vtcm in (None, profile.vtcm_mb)


def test_only_two_have_a_dl_mode() -> None:
    assert {soc: each.dl_mode for soc, each in config.profiles().items() if each.dl_mode} == {"sm8550": 1, "sm8650": 2}


@pytest.mark.parametrize("soc", config.socs())
def test_every_figure_has_a_source(soc: str) -> None:
    profile = config.load_profile(soc)
    figures = {"aliases": profile.aliases, "ddr_gb_s": profile.ddr_gb_s, "published_ms": profile.published_ms}
    limits = {f"limits.{name}": value for name, value in profile.limits.model_dump().items()}
    hub = {"ai_hub": profile.ai_hub.chipsets or profile.ai_hub.devices or None}
    having = {name for name, value in {**figures, **limits, **hub}.items() if value is not None}
    assert having | {"soc_model"} <= set(profile.sources)
    assert set(profile.sources) <= having | {"soc_model", "htp_arch"}
    assert all(profile.sources.values())


def test_the_compilers_table_agrees_with_the_tables_of_others_where_no_note_says_otherwise() -> None:
    known = config.known_socs()
    assert len(known) > 100
    assert known[42].htp_arch == 69
    assert known[42].compiled_arch == 68
    for number, htp in {39: 68, 53: 69, 68: 73, 70: 73, 72: 81, 75: 79, 95: 81, 96: 81, 97: 81, 103: 85}.items():
        assert known[number].htp_arch == htp
    # No fp16, whatever the HTP version: ExecuTorch's pull request 22542, AI Hub's table.
    assert [number for number in (30, 68, 70, 78, 86, 93) if known[number].fp16] == []
    # The numbers that are HTP versions, too.
    assert [known[number].name for number in (68, 69, 73, 75)] == ["SM8635", "SM8750", "SM7635", "SXR2330P"]


@pytest.mark.parametrize(
    ("old", "new", "what", "why", "hint"),
    [
        (
            "soc_model = 57",
            "soc_model = 75",
            "no SoC has both",
            "75 is SXR2330P, an HTP v79.",
            "SM8650 is soc_model 57",
        ),
        (
            "soc_model = 57\nhtp_arch = 75",
            "soc_model = 69\nhtp_arch = 69",
            "both",
            "SM8750, an HTP v79",
            "devices --kn",
        ),
        (
            "soc_model = 57\nhtp_arch = 75",
            "soc_model = 75\nhtp_arch = 57",
            "both",
            "57 is SM8650, an HTP v75: are the",
            "",
        ),
        ("htp_arch = 75", "htp_arch = 85", "htp_arch = 85: no SoC has both", "57 is SM8650, an HTP v75", ""),
        ("htp_arch = 75", "htp_arch = 74", "no SoC has both", "74 is no HTP version", ""),
        ("soc_model = 57\nhtp_arch = 75", "soc_model = 43\nhtp_arch = 73", "another SoC's", "SM8550, an HTP v73", "57"),
        ("soc_model = 57", "soc_model = 126", "no SoC that the compiler knows", "2.50.40", "unlisted = true"),
        (
            "soc_model = 57",
            "soc_model = 21",
            "which has no HTP",
            "21 is SM8250, without an HTP",
            "SM8650 is soc_model 57",
        ),
        (
            "soc_model = 57",
            "unlisted = true\nsoc_model = 57",
            "unlisted = true",
            "SM8650, an HTP v75",
            "Remove unlisted",
        ),
        ("soc_model = 57", "unlisted = true\nsoc_model = 57\n", "unlisted = true", "The compiler knows", "Remove"),
        ("vtcm_mb = 8", "vtcm_mb = 16", "vtcm_mb = 16", "SM8650 has 8 MB", "Correct it"),
        (
            "vtcm_mb = 8",
            "vtcm_mb = 8\nestimates = true",
            "estimates = true",
            "no time estimates for SM8650",
            "leave it",
        ),
        (
            '"SM8650P"',
            '"SM8650P", "SM8550"',
            "claims the name 'SM8550'",
            "SM8550, an HTP v73, soc_model 43",
            "Remove it",
        ),
        ('"SM8650P"', '"sm8845-ac"', "claims the name 'sm8845-ac'", "SM8845, an HTP v81", "Remove it"),
        (
            '"SM8650P"',
            '"Samsung Galaxy S23"',
            "both claim the name 'Samsung Galaxy S23'",
            "--soc must mean",
            "Remove it",
        ),
        ('"SM8650P"', '"a, b"', "bad value for 'aliases'", "is no name", ""),
        ('"SM8650P"', '""', "bad value for 'aliases'", "is no name", ""),
        ("ddr_gb_s = 76.8", "ddr_gb_s = nan", "bad value for 'ddr_gb_s'", "finite", ""),
        ("ddr_gb_s = 76.8", "ddr_gb_s = inf", "bad value for 'ddr_gb_s'", "finite", ""),
        ("ddr_gb_s = 76.8", "ddr_gb_s = -1", "bad value for 'ddr_gb_s'", "greater than 0", ""),
        ("unet = 76.2", "unet = nan", "bad value for 'published_ms.unet'", "finite", ""),
        ("unet = 76.2", "unett = 76.2", "unknown key 'published_ms.unett'", "", "Did you mean unet?"),
        ("soc_model = 57", "soc_model = -57", "bad value for 'soc_model'", "greater", ""),
        ("soc_model = 57", "soc_model = 99999999999999999999", "bad value for 'soc_model'", "", ""),
        ("soc_model = 57", "soc_model = true", "bad value for 'soc_model'", "integer", ""),
        ("soc_model = 57", 'soc_model = "57"', "bad value for 'soc_model'", "integer", ""),
        ("vtcm_mb = 8", "vtcm_mb = 0", "bad value for 'vtcm_mb'", "greater", ""),
        ("fp16 = true", "fp1 = true", "unknown key 'limits.fp1'", "", "Did you mean fp16?"),
        ("graph_mb = 2048", "graph_mb = 0", "bad value for 'limits.graph_mb'", "greater", ""),
        ("[sources]", '[sources]\n"limits.fp8" = "me"', "bad value for", "sources of what is no field: limits.fp8", ""),
    ],
)
def test_what_no_soc_is_is_refused(old: str, new: str, what: str, why: str, hint: str, shipped: Path) -> None:
    file = shipped / "sm8650.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        config.load_profile("sm8650")
    assert what in caught.value.what
    assert why in caught.value.why
    assert hint in caught.value.hint
    assert str(file) in caught.value.what + caught.value.hint


@pytest.mark.parametrize(
    ("soc", "old", "new", "why"),
    [
        ("sm8635", "fp16 = false", "fp16 = true", "SM8635 that it doesn't support FP16"),
        ("sm8350", "ai_hub_vae = false", "ai_hub_vae = true", "below HTP v73"),
        ("sm8635", "vtcm_mb = 4", "vtcm_mb = 8", "SM8635 has 4 MB"),
        ("sm8475", "htp_arch = 69", "htp_arch = 68", "v69 in the tables of ONNX Runtime"),
    ],
)
def test_limits_are_the_socs_own(soc: str, old: str, new: str, why: str, shipped: Path) -> None:
    file = shipped / f"{soc}.toml"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        config.load_profile(soc)
    assert why in caught.value.why


def test_a_file_of_ones_own_adds_a_soc(own: Callable[..., Path]) -> None:
    own("sm8845", WRITTEN.format(soc="sm8845", number=97) + 'aliases = ["8 Gen 5"]\n')
    profile = config.load_profile("8 gen 5")
    # What is left out is as the compiler says.
    assert (profile.soc, profile.htp_arch, profile.vtcm_mb, profile.limits.fp16) == ("sm8845", 81, 8, True)
    assert config.find_profile("SM8845P") == profile
    assert config.socs()[-1] == "sm8845"
    assert config.stand_in("SM8845") is not None
    assert config.load_profile("sm8650").soc == "sm8650"


def test_a_profile_of_the_same_number_comes_before_all_others(own: Callable[..., Path]) -> None:
    own("mine", WRITTEN.format(soc="mine", number=97))
    other = config.stand_in("SM8845")
    assert other is not None
    assert other.profile.soc == "mine"
    assert "which has the same number, 97, to the compiler" in other.reason


def test_the_folder_is_the_data_folders_unless_the_variable_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QNN_SD_DEVICE_PROFILES", raising=False)
    monkeypatch.setenv("QNN_SD_DATA", "/somewhere")
    assert resources.user_device_profiles() == Path("/somewhere/device_profiles")
    monkeypatch.setenv("QNN_SD_DEVICE_PROFILES", "/nowhere")
    with pytest.raises(ConfigError, match="QNN_SD_DEVICE_PROFILES names /nowhere, which is no folder"):
        config.socs()


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("sm8650", WRITTEN.format(soc="sm8650", number=57), "has the name of a shipped profile"),
        ("mine", WRITTEN.format(soc="mine", number=97) + 'aliases = ["8 Gen 3"]\n', "both claim the name '8 Gen 3'"),
        ("mine", WRITTEN.format(soc="mine", number=97) + 'aliases = ["SM7675"]\n', "claims the name 'SM7675'"),
        ("other", WRITTEN.format(soc="mine", number=97), "describes 'mine'"),
        ("all", WRITTEN.format(soc="all", number=97), "describes 'all'"),
        ("my soc", WRITTEN.format(soc="my soc", number=97), "describes 'my soc'"),
        ("new", WRITTEN.format(soc="new", number=126), "which is no SoC that the compiler knows"),
        ("new", WRITTEN.format(soc="new", number=126) + "htp_arch = 86\nunlisted = true\n", "says htp_arch = 86"),
        ("new", WRITTEN.format(soc="new", number=126) + "unlisted = true\n", "says no htp_arch"),
        ("new", "soc = [", "is not TOML"),
    ],
)
def test_a_wrong_file_of_ones_own_is_named(name: str, text: str, what: str, own: Callable[..., Path]) -> None:
    path = own(name, text)
    with pytest.raises(ConfigError) as caught:
        config.load_profile("sm8650")
    assert what in caught.value.what
    assert str(path) in f"{caught.value}"


def test_a_soc_that_the_compiler_does_not_know_is_said_when_it_is_used(
    own: Callable[..., Path], cli_here: CliHere
) -> None:
    own("sm9950", WRITTEN.format(soc="sm9950", number=126) + "htp_arch = 85\nunlisted = true\n")
    assert config.load_profile("sm9950").vtcm_mb == 8
    done = cli_here("compile", "--soc", "sm9950", "--dry-run")
    assert done.returncode == 0
    assert "sm9950 has a soc_model that the compiler isn't known to know: 126" in done.stderr
    assert "isn't known to know" not in cli_here("compile", "--soc", "sm8650", "--dry-run").stderr


def bundle(cache: Path, soc: str, worst: float | None, *, further: tuple[str, ...] = ()) -> None:
    """As much of a bundle in a cache as is read of it."""
    figures = {"all_db": 62.0, "worst_db": worst, "worst_input": "one"}
    verification = {"unet": {"qdq_against_float": {**figures, "worst_db": 50.0}, "binary_against_qdq": figures}}
    profiles = [config.load_profile(each) for each in (soc, *further)]
    socs = [{"name": each.soc, "soc_model": each.soc_model, "htp_arch": each.htp_arch} for each in profiles]
    sizes = {"height": 64, "width": 96, "factor": 8, "latent_channels": 4, "tokens": 77}
    content: dict[str, Any] = {
        "schema": "qnn-sd/bundle/1",
        "model": "small",
        "soc": socs[0],
        "further_socs": socs[1:],
        **sizes,
        "scaling_factor": 1.0,
        "time_cond_proj_dim": None,
        "scheduler": {},
        "padding_token": None,
        "added_tokens": {},
        "components": {},
        "verification": None if worst is None else verification,
    }
    folder = cache / "bundle" / f"small.{'+'.join((soc, *further))}"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text(json.dumps(content))


def test_what_there_is_for_each_soc_is_shown(cli_here: CliHere, tmp_path: Path) -> None:
    bundle(tmp_path, "sm8650", 57.5)
    bundle(tmp_path, "sm8750", None)
    bundle(tmp_path, "sm8550", 60.0, further=("sm8850",))
    (tmp_path / "bundle" / "broken").mkdir()
    (tmp_path / "bundle" / "broken" / "bundle.json").write_text("{}")
    environment = {"QNN_SD_CACHE": str(tmp_path), "QNN_SD_DATA": str(tmp_path)}
    done = cli_here("devices", "--known", "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "qnn-sd/known-socs/1"
    found = {each["soc"]: each for each in document["socs"]}
    assert list(found) == config.socs()
    keys = ("soc_model", "htp_arch", "vtcm_mb", "fp16", "ai_hub_vae", "times", "phone_libraries", "first_qairt")
    assert [found["sm8750"][key] for key in keys] == [69, 79, 8, True, True, "scaled", "2.50.0", "2.30"]
    assert [found["sm8350"][key] for key in keys] == [30, 68, 4, False, False, "none", "2.50.0", None]
    assert [found["sm8950"][key] for key in keys] == [113, 85, 8, True, True, "none", None, None]
    assert found["qcs9075"]["times"] == "estimate"
    [made] = found["sm8650"]["compiled"]
    assert (made["model"], made["size"]) == ("small", {"width": 96, "height": 64})
    assert made["binary_against_qdq_db"] == {"unet": 57.5}
    assert found["sm8750"]["compiled"][0]["binary_against_qdq_db"] is None
    assert found["sm8550"]["compiled"] == found["sm8850"]["compiled"] != []
    assert found["sm8450"]["compiled"] == []
    others = {each["part"]: each for each in document["others"]}
    assert (others["SM8845"]["htp_arch"], others["SM8845"]["loads"]) == (81, "sm8550")
    assert (others["SM8250"]["htp_arch"], others["SM8250"]["loads"]) == (None, None)
    assert len(found) + len(others) == len(config.known_socs())

    table = cli_here("devices", "--known", environment=environment).stdout.splitlines()
    [line] = [each for each in table if each.startswith("sm8650")]
    assert line.split("  ")[0].strip() == "sm8650"
    assert line.rstrip().endswith("small 96x64, 57.5 dB")
    assert any(each.startswith("sm8550") and "one file for 2 SoCs" in each for each in table)
    assert "sm8750" in "".join(each for each in table if "not verified" in each)


def test_libraries_are_published_for_these_htps() -> None:
    assert all(set(each.htp_archs) == {68, 69, 73, 75, 79, 81} for each in load_pins().published)
    assert libraries_for_htp(81) == load_pins().newest.qairt
    assert libraries_for_htp(85) is None


def test_tab_completes_although_a_file_of_ones_own_is_wrong(own: Callable[..., Path]) -> None:
    from qnn_sd.cli import value_types

    assert "sm8650" in [soc for soc, _ in value_types._socs()]
    own("broken", "soc = [")
    assert list(value_types._socs()) == []


# The tools.


def test_the_page_has_the_table_of_the_files() -> None:
    page = (ROOT / "docs" / "socs.md").read_text("utf-8")
    assert page == soc_docs.with_tables(page), "run python tools/soc_docs.py"
    assert page.count("\n| `sm8650` |") == 2
    for soc in config.socs():
        assert f"\n| `{soc}` |" in page


@pytest.mark.parametrize("number", [42, 68])
def test_the_compiler_says_what_is_written(number: int) -> None:
    """An HTP that others give another version, and a v73 without fp16."""
    assert soc_table.ask(number) == soc_table.written(config.known_soc(number))


def test_the_compilers_log_is_read() -> None:
    log = "SoC model name is SM8635\nOption: arch = 73\nOption: vtcm_size = 4194304\nThe SocModel doesn't support FP16"
    assert soc_table.read(log, False) == soc_table.Answer("SM8635", 73, 4, False, False)
    assert soc_table.read(log.replace("doesn't support", "supports"), True).fp16 is True
    log = "Estimates unsupported on soc sm6225\nOption: arch = 68\nOption: vtcm_size = 0\nSocModel supports FP16"
    assert soc_table.read(log, False) == soc_table.Answer("SM6225")
    assert soc_table.read("nothing", False) == soc_table.Answer(None)
    assert soc_table.read("Performance Estimates unsupported on soc UNKNOWN_SDM", False) == soc_table.Answer(None)
    known = config.known_soc(42)
    assert soc_table.written(known) == soc_table.Answer("SM8475", 68, 8, True, False)
    assert soc_table.written(known).row(42).strip() in (ROOT / "qnn_sd/config/known_socs.toml").read_text()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("dl_mode = 99\n", "dl_mode = 99"),
        ("dl_mode = 1\n", "dl_mode = 1"),
        ('aliases = ["All"]\n', "claims the name 'All'"),
        (f"a = {'[' * 5000}", "is not TOML"),
        ('aliases = ["8 gen 3"]\n', "both claim the name"),
    ],
)
def test_what_a_file_of_ones_own_may_not_claim(more: str, what: str, own: Callable[..., Path]) -> None:
    """Wherever profiles are read, also where they are only listed."""
    own("mychip", WRITTEN.format(soc="mychip", number=87) + more)
    with pytest.raises(ConfigError) as caught:
        config.profiles()
    assert what in caught.value.what


def test_a_file_that_an_editor_marked_as_utf_8_is_read(own: Callable[..., Path]) -> None:
    own("mychip", "\ufeff" + WRITTEN.format(soc="mychip", number=87))
    assert config.load_profile("mychip").htp_arch == 81


@pytest.mark.parametrize(
    ("name", "soc"),
    [
        *(("Snapdragon 8 Gen 4", "sm8750"), ("8 Gen 3 Leading Version", "sm8650"), ("8 Gen 1+", "sm8475")),
        *(("Galaxy S24", "sm8650"), ("SD 8s Gen 3", "sm8635")),
    ],
)
def test_a_name_is_known_with_and_without_what_people_put_before_it(name: str, soc: str) -> None:
    assert config.load_profile(name).soc == soc

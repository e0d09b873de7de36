"""Names of SoCs: what people and phones call them, and what is said of those that have no profile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import pytest

from qnn_sd import config, resources
from qnn_sd.bundle_manifest import Soc
from qnn_sd.device_properties import VIRTUAL_PHONE_PROPERTY
from qnn_sd.errors import ConfigError, UnknownSocError
from qnn_sd.targets.adb.client import Phone, choose_profile, other_soc
from qnn_sd.targets.adb.session.deployment import htp_options, soc_of_phone


@pytest.mark.parametrize(
    ("name", "soc"),
    [
        *((name, "sm8650") for name in ("sm8650", "SM8650", "8gen3", "8 gen 3", "8 Gen 3", "snapdragon-8-gen-3")),
        *((name, "sm8650") for name in ("Snapdragon 8 Gen 3", "SNAPDRAGON_8_GEN_3", "Qualcomm Snapdragon 8 Gen 3")),
        *((name, "sm8650") for name in ("sm8650-ac", "SM8650-AB", "SM8650P", "sd 8 gen 3", "8 Gen 3 for Galaxy")),
        *((name, "sm8550") for name in ("8gen2", "SM8550-AC", "SM8550P", "Snapdragon 8 Gen 2 for Galaxy")),
        *((name, "qcs9075") for name in ("QCS9075", "iq-9075", "Dragonwing IQ-9075", "QCS9100")),
        *((name, "sm8750") for name in ("SM8750P", "sm8750-ac", "8 Elite", "Samsung Galaxy S25 (Family)", "SM8750-AB")),
        *((name, "sm8850") for name in ("SM8850P", "sm8850-ad", "qualcomm-snapdragon-8-elite-gen5-for-galaxy")),
        *(
            (name, "sm8450")
            for name in ("SM8450-AC", "8 gen 1", "SD 8 Gen 1", "qualcomm-snapdragon-8gen1", "Xiaomi 12")
        ),
        *((name, "sm8475") for name in ("8+ Gen 1", "8 plus gen 1")),
        *((name, "qcs8550") for name in ("QCM8550", "QCS8550 (Proxy)", "qualcomm-qcs8550-proxy")),
        *((name, "sc8380xp") for name in ("X Elite", "x1e80100", "SC8380XP", "Snapdragon X Elite CRD")),
        *((name, "sc8480xp") for name in ("X2 Elite", "x2-elite")),
        *((name, "qcs6490") for name in ("QCM6490", "Dragonwing RB3 Gen 2 Vision Kit")),
        *((name, "sa8775p") for name in ("SA8255P", "SA8650P ADP")),
        ("SM8735P", "sm8735"),
        ("qualcomm-snapdragon-8gen3", "sm8650"),
        ("Arduino VENTUNO Q", "qcs8275"),
    ],
)
def test_a_name_means_its_soc(name: str, soc: str) -> None:
    found = config.find_profile(name)
    assert found is not None
    assert found == config.load_profile(name) == config.load_profile(soc)
    assert found.soc == soc


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sm8845", "Snapdragon 8 Gen 5 (SM8845) is known, and has no profile"),
        ("SM8845-AC", "Snapdragon 8 Gen 5 (SM8845) is known, and has no profile"),
        ("8 gen 5", "Snapdragon 8 Gen 5 (SM8845) is known, and has no profile"),
        ("7+ Gen 3", "Snapdragon 7+ Gen 3 (SM7675) is known, and has no profile"),
        ("7 plus gen 3", "Snapdragon 7+ Gen 3 (SM7675) is known, and has no profile"),
        ("SD 778G", "Snapdragon 778G (SM7325) is known, and has no profile"),
        ("CQ8750S", "CQ8750S is known, and has no profile"),
        ("Snapdragon 865 5G", "Snapdragon 865 (SM8250) is known, and has no profile"),
        ("SM8250-AC", "Snapdragon 870 (SM8250-AC) is known, and has no profile"),
        ("q-6690", "Dragonwing Q-6690 (QCM6690) is known, and has no profile"),
        ("Dimensity 9300", "'Dimensity 9300' is MediaTek's, not Qualcomm's"),
        ("MT6989", "'MT6989' is MediaTek's, not Qualcomm's"),
        ("Tensor G3", "'Tensor G3' is Google's, not Qualcomm's"),
        ("Exynos 2400", "'Exynos 2400' is Samsung's, not Qualcomm's"),
        ("A17 Pro", "'A17 Pro' is Apple's, not Qualcomm's"),
        ("pixel 9", "'pixel 9' reads like a phone, not like a SoC"),
        ("sm8560", "Unknown SoC 'sm8560'"),
        ("sn8650", "Unknown SoC 'sn8650'"),
        ("sm865", "Unknown SoC 'sm865'"),
        ("8 Gen 9", "Unknown SoC '8 Gen 9'"),
        ("8+ gen 3", "Unknown SoC '8+ gen 3'"),
        ("v75", "Unknown SoC 'v75'"),
        ("", "Unknown SoC ''"),
    ],
)
def test_what_has_no_profile_is_named_and_no_other_is_suggested(name: str, said: str) -> None:
    assert config.find_profile(name) is None
    with pytest.raises(UnknownSocError) as caught:
        config.load_profile(name)
    assert caught.value.what == said
    assert "Did you mean" not in str(caught.value)
    assert f"Supported: {', '.join(config.socs())};" in caught.value.hint


@pytest.mark.parametrize("name", ["snapdargon 8 gen 3", "8 gem 3", "Snapdragn 8 Gen 3"])
def test_only_words_are_taken_for_misspelt(name: str) -> None:
    with pytest.raises(UnknownSocError) as caught:
        config.load_profile(name)
    assert caught.value.why == "Did you mean sm8650 (Snapdragon 8 Gen 3)?"


def test_two_profiles_cannot_claim_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for soc in ("sm8550", "sm8650"):
        shutil.copy(resources.device_profiles() / f"{soc}.toml", tmp_path)
    monkeypatch.setattr(resources, "device_profiles", lambda: tmp_path)
    assert config.load_profile("8gen2").soc == "sm8550"
    file = tmp_path / "sm8650.toml"
    file.write_text(file.read_text().replace('"8 Gen 3"', '"8-gen-2"'))
    with pytest.raises(ConfigError, match="sm8550 and sm8650 both claim the name '8-gen-2'") as caught:
        config.load_profile("sm8550")
    assert str(file) in caught.value.hint


class ReportingPhone:
    """As much of a phone as is asked for its SoC."""

    serial = "R5CT1234ABC"
    virtual = ""

    def __init__(self, soc: str, platform: str = "sun") -> None:
        self.soc, self.platform = soc, platform

    def ask(self, command: str) -> str:
        answers = {"ro.soc.model": self.soc, "ro.board.platform": self.platform, VIRTUAL_PHONE_PROPERTY: self.virtual}
        return f"{answers[command.removeprefix('getprop ')]}\n"


def phone_of(soc: str, platform: str = "sun") -> Phone:
    return cast(Phone, ReportingPhone(soc, platform))


@pytest.mark.parametrize("name", ["SM8650", "SM8650-AC", "SM8650P", "sm8650"])
def test_a_phones_own_name_goes_the_same_way(name: str) -> None:
    choice = choose_profile(phone_of(name), None)
    assert (choice.profile, choice.remark) == (config.load_profile("sm8650"), "")


def test_a_phones_soc_is_told_with_its_name() -> None:
    assert config.soc_label("SM8845") == "SM8845, Snapdragon 8 Gen 5"
    assert config.soc_label("SM9999") == "SM9999"
    assert config.soc_label("") == ""


@pytest.mark.parametrize(
    ("reported", "soc", "said"),
    [
        # Known to load: Local Dream's one v73 binary. The same HTP's own was refused there.
        ("SM8845", "sm8550", "HTP v73 on its v81. Others run such a binary there"),
        ("SM8845P", "sm8550", "SM8845P, Snapdragon 8 Gen 5 has no profile of its own"),
        ("CQ8750S", "sm8750", "may be refused (error 1002); then try --soc sm8550"),
        ("SM8975", "sm8950", "HTP v85 on its v85"),
        # As much VTCM as there is, and no more.
        ("SM7675", "sm8635", "HTP v73 on its v73"),
        ("SM7635", "sm7550", "HTP v73 on its v73"),
        # Below v73 a v69 gets a v69's.
        ("SXR2230P", "sm8450", "HTP v69 on its v69"),
        ("SA8295P", "sm8350", "HTP v68 on its v68"),
        ("SM7325", "qcs6490", "HTP v68 on its v68"),
        ("XRV7200", "sm8635", "HTP v73 on its v81"),
    ],
)
def test_a_soc_without_a_profile_gets_the_newest_binaries_that_its_htp_loads(
    reported: str, soc: str, said: str
) -> None:
    choice = choose_profile(phone_of(reported), None)
    assert choice.profile == config.load_profile(soc)
    assert choice.remark.startswith("R5CT1234ABC: ")
    assert said in choice.remark
    assert f"it gets the binaries for {soc}" in choice.remark


def test_every_stand_in_obeys_the_rules_of_loading() -> None:
    """An HTP not newer, not below v73 on v73 and later, no more VTCM: over all SoCs that the compiler knows."""
    found = 0
    for chip in config.known_socs().values():
        other = config.stand_in(chip.name)
        if other is None:
            continue
        found += 1
        assert chip.htp_arch is not None
        assert chip.vtcm_mb is not None
        assert other.profile.htp_arch <= chip.htp_arch
        assert (other.profile.htp_arch >= 73) == (chip.htp_arch >= 73)
        assert other.profile.vtcm_mb <= chip.vtcm_mb
    assert found > 60


@pytest.mark.parametrize(
    ("reported", "why", "hint"),
    [
        ("SM9999", "doesn't know SM9999; the nearest number that it knows is SM8975, an HTP v85.", "A newer compiler"),
        ("SM8860", "the nearest number that it knows is SM8850, an HTP v81.", "add --soc"),
        ("SM8250", "it is SM8250, without an HTP.", "docs/socs.md"),
        ("", "Its SoC is not reported (ro.soc.model is empty), its platform sun.", "add --soc with its name"),
    ],
)
def test_no_binaries_are_guessed_for_a_soc_that_is_not_known(reported: str, why: str, hint: str) -> None:
    with pytest.raises(UnknownSocError) as caught:
        choose_profile(phone_of(reported), None)
    assert caught.value.what == "There is no profile for R5CT1234ABC"
    assert why in caught.value.why
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("reported", "platform", "maker"),
    [
        ("MT6989", "mt6989", "MediaTek"),
        ("", "mt6897", "MediaTek"),
        ("Tensor G3", "zuma", "Google"),
        ("", "gs201", "Google"),
        ("s5e9945", "erd9945", "Samsung"),
        ("", "kirin9000", "Huawei"),
    ],
)
def test_another_makers_phone_is_told_so_and_no_soc_is_asked_for(reported: str, platform: str, maker: str) -> None:
    with pytest.raises(UnknownSocError) as caught:
        choose_profile(phone_of(reported, platform), None)
    assert f"its platform {platform}. That is {maker}'s" in caught.value.why
    assert "--soc" not in caught.value.hint


@pytest.mark.parametrize(
    ("reported", "typed", "said"),
    [
        ("SM8650P", "sm8650", ""),
        ("", "sm8650", ""),
        (
            "SM8550",
            "sm8650",
            "is sm8550, and gets the binaries for sm8650 that --soc names: binaries for HTP v75 don't",
        ),
        (
            "SM8845",
            "sm8850",
            "is SM8845, and gets the binaries for sm8850 that --soc names: they were refused on an SM8",
        ),
        ("SM8650", "sm8475", "refuses v69 binaries"),
        ("SM8635", "sm8550", "they ask for 8 MB of VTCM, and SM8635 has 4 (error 5005)"),
        ("CQ8750S", "sm8750", "both are HTP v79, and a binary of another SoC may be refused all the same (error 1002)"),
        ("SM8850", "sm8550", "is sm8850, and gets the binaries for sm8550 that --soc names: HTP v73 binaries on a v81"),
        ("SM9999", "sm8550", "is SM9999, and gets the binaries for sm8550 that --soc names"),
    ],
)
def test_binaries_of_another_soc_than_the_phones_are_warned_of(reported: str, typed: str, said: str) -> None:
    choice = choose_profile(phone_of(reported), typed)
    assert choice.profile.soc == typed
    assert said in choice.remark
    assert bool(choice.remark) == bool(said)


def test_an_image_says_on_whose_soc_other_binaries_ran() -> None:
    assert other_soc(phone_of("SM8650P"), "sm8650") is None
    assert other_soc(phone_of(""), "sm8650") is None
    assert other_soc(phone_of("SM8845"), "sm8550") == "SM8845"
    assert other_soc(phone_of("SM8550"), "sm8650") == "SM8550"


@pytest.mark.parametrize(
    ("reported", "soc", "number", "htp"),
    [
        ("SM8845", "sm8550", 97, 81),
        ("SM8550", "sm8650", 43, 73),
        ("CQ8750S", "sm8750", 105, 79),
        ("SM8650P", "sm8650", 57, 75),
        # One number for three; unknown; not reported; without an HTP.
        ("SA8255P", "sa8775p", 52, 73),
        ("SM9999", "sm8550", 43, 73),
        ("", "sm8550", 43, 73),
        ("SM8250", "sm8550", 43, 73),
    ],
)
def test_libraries_and_options_are_of_the_phones_own_htp(reported: str, soc: str, number: int, htp: int) -> None:
    """Whosever binaries it gets: a runtime loads the stub of the phone's HTP, and refuses another one's number."""
    profile = config.load_profile(soc)
    bundles = Soc(name=soc, soc_model=profile.soc_model, htp_arch=profile.htp_arch)
    found = htp_options(soc_of_phone(phone_of(reported), bundles), "burst")
    assert (found["soc_model"], found["htp_arch"]) == (str(number), str(htp))
    virtual = ReportingPhone(reported)
    virtual.virtual = "1"
    assert soc_of_phone(cast(Phone, virtual), bundles) == bundles

"""Names of SoCs: what people and phones call them, and what is said of those that have no profile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qnn_sd import config, resources
from qnn_sd.errors import ConfigError, UnknownSocError


@pytest.mark.parametrize(
    ("name", "soc"),
    [
        *((name, "sm8650") for name in ("sm8650", "SM8650", "8gen3", "8 gen 3", "8 Gen 3", "snapdragon-8-gen-3")),
        *((name, "sm8650") for name in ("Snapdragon 8 Gen 3", "SNAPDRAGON_8_GEN_3", "Qualcomm Snapdragon 8 Gen 3")),
        *((name, "sm8650") for name in ("sm8650-ac", "SM8650-AB", "SM8650P", "sd 8 gen 3", "8 Gen 3 for Galaxy")),
        *((name, "sm8550") for name in ("8gen2", "SM8550-AC", "SM8550P", "Snapdragon 8 Gen 2 for Galaxy")),
        *((name, "qcs9075") for name in ("QCS9075", "iq-9075", "Dragonwing IQ-9075")),
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
        ("sm8450", "Snapdragon 8 Gen 1 (SM8450) is known, and has no profile"),
        ("SM8450-AC", "Snapdragon 8 Gen 1 (SM8450) is known, and has no profile"),
        ("8 gen 1", "Snapdragon 8 Gen 1 (SM8450) is known, and has no profile"),
        ("8+ Gen 1", "Snapdragon 8+ Gen 1 (SM8475) is known, and has no profile"),
        ("8 plus gen 1", "Snapdragon 8+ Gen 1 (SM8475) is known, and has no profile"),
        ("sm8750", "Snapdragon 8 Elite (SM8750) is known, and has no profile"),
        ("8 Elite", "Snapdragon 8 Elite (SM8750) is known, and has no profile"),
        ("8s gen 3", "Snapdragon 8s Gen 3 (SM8635) is known, and has no profile"),
        ("SD 888", "Snapdragon 888 (SM8350) is known, and has no profile"),
        ("Snapdragon 865 5G", "Snapdragon 865 (SM8250) is known, and has no profile"),
        ("SM8250-AC", "Snapdragon 870 (SM8250-AC) is known, and has no profile"),
        ("qcs8550", "Dragonwing QCS8550 is known, and has no profile"),
        ("Dimensity 9300", "'Dimensity 9300' is MediaTek's, not Qualcomm's"),
        ("MT6989", "'MT6989' is MediaTek's, not Qualcomm's"),
        ("Tensor G3", "'Tensor G3' is Google's, not Qualcomm's"),
        ("Exynos 2400", "'Exynos 2400' is Samsung's, not Qualcomm's"),
        ("A17 Pro", "'A17 Pro' is Apple's, not Qualcomm's"),
        ("galaxy s24", "'galaxy s24' reads like a phone, not like a SoC"),
        ("sm8560", "Unknown SoC 'sm8560'"),
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
    for soc in config.socs():
        assert f"{soc} ({config.load_profile(soc).title})" in caught.value.hint


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


def test_a_phones_soc_is_told_with_its_name() -> None:
    assert config.soc_label("SM8750") == "SM8750, Snapdragon 8 Elite"
    assert config.soc_label("SM9999") == "SM9999"
    assert config.soc_label("") == ""

"""Model configs and device profiles: strict, with suggestions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qnn_sd import config, resources
from qnn_sd.errors import ConfigError, UnknownModelError, UnknownSocError


def test_every_shipped_file_is_valid() -> None:
    assert {config.load_profile(soc).soc for soc in config.socs()} == set(config.socs()) >= {"sm8550", "sm8650"}
    assert {config.load_model(name).name for name in config.models()} == set(config.models())


def test_profiles_carry_their_dl_mode() -> None:
    assert config.load_profile("sm8550").dl_mode == 1
    assert config.load_profile("SM8650").dl_mode == 2


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownSocError) as soc:
        config.load_profile("sm8660")
    assert "Did you mean sm8650?" in soc.value.hint
    with pytest.raises(UnknownModelError) as model:
        config.load_model("tinysd")
    assert "Did you mean tiny-sd?" in model.value.hint


@pytest.mark.parametrize("name", ["../secret", "", "sm8650/../sm8550", "*"])
def test_names_are_no_paths(name: str) -> None:
    with pytest.raises(UnknownSocError):
        config.load_profile(name)


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a profile to break."""
    shutil.copy(resources.device_profiles() / "sm8650.toml", tmp_path)
    monkeypatch.setattr(resources, "device_profiles", lambda: tmp_path)
    return tmp_path / "sm8650.toml"


def test_an_unknown_key_is_an_error_with_a_suggestion(profile: Path) -> None:
    profile.write_text(profile.read_text() + "\nhtp_arc = 75\n")
    with pytest.raises(ConfigError, match="unknown key 'htp_arc'") as caught:
        config.load_profile("sm8650")
    assert "Did you mean htp_arch?" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("htp_arch = 75", "htp_arch = 74", "htp_arch"),
        ("dl_mode = 2", "", "dl_mode"),
        ("vtcm_mb = 8", "vtcm_mb = 'much'", "vtcm_mb"),
    ],
)
def test_bad_values_are_named(old: str, new: str, key: str, profile: Path) -> None:
    profile.write_text(profile.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=key):
        config.load_profile("sm8650")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trajectories = 15", "trajectories = 9", "10 pictures of 9 trajectories"),
        ("pictures = 2", "pictures = 6", "6 pictures of 5 trajectories"),
        ("kept_steps = 4", "kept_steps = 21", "21 kept steps of 20"),
        ("seed = 900000", "seed = 1014", "held-out seeds would be those of the calibration"),
        ("seed = 900000", "sed = 900000", "Did you mean seed?"),
        ("seed = 1000\n", "", "calibration.seed"),
    ],
)
def test_calibration_settings_that_contradict_each_other(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (resources.model_configs() / "tiny-sd.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    monkeypatch.setattr(resources, "model_configs", lambda: tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load_model("mine")
    assert said in str(caught.value)


@pytest.mark.parametrize("place", ["../elsewhere", "/etc", "a/b/c", "./a", "", "owner/", "a b"])
def test_a_models_checkpoint_is_a_name_or_a_hub_id(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (resources.model_configs() / "tiny-sd.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('checkpoint = "tiny-sd"', f'checkpoint = "{place}"'))
    (tmp_path / "hub.toml").write_text(text.replace('checkpoint = "tiny-sd"', 'checkpoint = "owner/name"'))
    monkeypatch.setattr(resources, "model_configs", lambda: tmp_path)
    assert config.load_model("hub").from_hub
    with pytest.raises(ConfigError, match="checkpoint"):
        config.load_model("mine")


def test_what_is_no_toml_is_named(profile: Path) -> None:
    profile.write_text("soc = [")
    with pytest.raises(ConfigError, match="is not TOML"):
        config.load_profile("sm8650")

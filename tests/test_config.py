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


def test_an_unknown_model_suggests_the_nearest() -> None:
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
    profile.write_text("htp_arc = 75\n" + profile.read_text())
    with pytest.raises(ConfigError, match="unknown key 'htp_arc'") as caught:
        config.load_profile("sm8650")
    assert "Did you mean htp_arch?" in caught.value.hint


def test_a_profile_needs_no_dl_mode(profile: Path) -> None:
    assert config.load_profile("sm8650").label == "Snapdragon 8 Gen 3 (dl_mode 2)"
    profile.write_text(profile.read_text().replace("dl_mode = 2\n", ""))
    assert config.load_profile("sm8650").dl_mode is None
    assert config.load_profile("sm8650").label == "Snapdragon 8 Gen 3"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("htp_arch = 75", "htp_arch = 74", "htp_arch"),
        ("dl_mode = 2", "dl_mode = 0", "dl_mode"),
        ("soc_model = 57", "", "soc_model"),
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
        ("trajectories = 36", "trajectories = 9", "12 images of 9 trajectories"),
        ("images = 2", "images = 6", "6 images of 5 trajectories"),
        ("kept_steps = 4", "kept_steps = 21", "21 kept steps of 20"),
        ("seed = 900000", "seed = 1035", "held-out seeds would be those of the calibration"),
        ("seed = 900000", "sed = 900000", "Did you mean seed?"),
        ("seed = 1000\n", "", "calibration.seed"),
        ("[1.0, 7.5]", "[0.5, 7.5]", "calibration.guidance"),
        ("seed = 500000\n", "", "verification.seed"),
        ("seed = 500000", "seed = 500000\nlooked_at = 0", "verification.looked_at"),
        ('negatives = "tiny_sd_prompts/negative.txt"\n', "", "calibration.negatives"),
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


def test_each_guidance_scale_is_met_with_and_without_a_negative_prompt() -> None:
    """The model's own first; 1 is none, and has no negative pass."""
    model = config.load_model("tiny-sd")
    assert (model.guidance, model.calibration.guidance) == (4.0, (1.0, 7.5))
    settings = [(each.guidance, each.negative) for each in model.settings]
    assert settings == [(4.0, False), (4.0, True), (1.0, False), (7.5, False), (7.5, True)]
    assert list(model.default_settings) == list(model.settings[:2])


@pytest.mark.parametrize("name", config.models())
def test_the_models_own_guidance_stands_between_two_others(name: str) -> None:
    """Its ranges get the margin: most of what is measured is of it, and no two rare settings follow each other."""
    model = config.load_model(name)
    turns = list(model.calibrated)
    assert set(turns) == set(model.settings)
    others = [each for each in model.settings if each not in model.default_settings]
    assert others
    assert [each for each in turns if each in others] == others, "each of them once a round"
    for place, turn in enumerate(turns):
        if turn in others:
            assert tuple(turns[place - len(model.default_settings) : place]) == model.default_settings


@pytest.mark.parametrize(("embeds_guidance", "own"), [(False, 1.0), (True, 8.5)])
def test_a_distilled_model_has_its_own_guidance_alone(embeds_guidance: bool, own: float) -> None:
    model = config.load_model("tiny-sd").for_lcm(embeds_guidance)
    assert {each.guidance for each in model.settings} == {own}
    assert model.calibrated == model.default_settings == model.settings
    assert model.verification.kept[-1] == model.verification.steps - 1 == config.LCM_STEPS - 1


@pytest.mark.parametrize(
    ("steps", "looked_at", "kept"),
    [(20, 3, (0, 9, 19)), (20, 1, (19,)), (20, 2, (0, 19)), (10, 4, (0, 3, 6, 9)), (2, 3, (0, 1)), (1, 3, (0,))],
)
def test_verification_looks_at_the_first_and_the_last_step(steps: int, looked_at: int, kept: tuple[int, ...]) -> None:
    shipped = config.load_model("tiny-sd").verification
    assert shipped.model_copy(update={"steps": steps, "looked_at": looked_at}).kept == kept


@pytest.mark.parametrize("place", ["../elsewhere", "/etc", "a/b/c", "./a", "", "owner/", "a b"])
def test_a_models_checkpoint_is_a_name_or_a_hub_id(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (resources.model_configs() / "tiny-sd.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('checkpoint = "tiny-sd"', f'checkpoint = "{place}"'))
    on_hub = text.replace('checkpoint = "tiny-sd"', 'checkpoint = "owner/name"').replace(
        'name = "tiny-sd"', 'name = "hub"'
    )
    (tmp_path / "hub.toml").write_text(on_hub)
    monkeypatch.setattr(resources, "model_configs", lambda: tmp_path)
    assert config.load_model("hub").from_hub
    with pytest.raises(ConfigError, match="checkpoint"):
        config.load_model("mine")


def test_what_is_no_toml_is_named(profile: Path) -> None:
    profile.write_text("soc = [")
    with pytest.raises(ConfigError, match="is not TOML"):
        config.load_profile("sm8650")


@pytest.mark.parametrize("name", ["sm8550", "../../evil"])
def test_a_profile_is_named_after_its_soc(name: str, profile: Path) -> None:
    """Its name becomes a folder of the cache."""
    profile.write_text(profile.read_text().replace('soc = "sm8650"', f'soc = "{name}"'))
    with pytest.raises(ConfigError, match="A file is named after what it describes"):
        config.load_profile("sm8650")

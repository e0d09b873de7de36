"""Which cloud device a name means."""

from __future__ import annotations

import pytest

from qnn_sd.ai_hub import CloudDevice, one_per_soc, profile_of
from qnn_sd.ai_hub.cloud_devices import device_names, find_device
from qnn_sd.console import Console
from qnn_sd.errors import HubDeviceError

QNN = ("framework:qnn", "framework:onnx")


def device(name: str, os: str, chipset: str, *more: str) -> CloudDevice:
    return CloudDevice(name, os, (f"chipset:{chipset}", *(more or QNN)))


S24 = [device("Samsung Galaxy S24", os, "qualcomm-snapdragon-8gen3") for os in ("9", "14", "15")]
ULTRA = device("Samsung Galaxy S24 Ultra", "14", "qualcomm-snapdragon-8gen3")
S23 = device("Samsung Galaxy S23", "13", "qualcomm-snapdragon-8gen2")
PROXY = device("QCS8550 (Proxy)", "12", "qualcomm-qcs8550-proxy")
PIXEL = device("Google Pixel 9", "15", "google-tensor-g4")
UNKNOWN = device("Some New Phone", "18", "qualcomm-snapdragon-9gen9")
ALL = [PIXEL, *S24, ULTRA, S23, PROXY, UNKNOWN]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Samsung Galaxy S24", S24[2]),
        ("samsung  galaxy s24", S24[2]),
        ("Galaxy S24 Ultra", ULTRA),
        ("qualcomm-snapdragon-8gen2", S23),
        ("chipset:qualcomm-snapdragon-8gen3", S24[2]),
        ("sm8650", S24[2]),
        ("8 Gen 3", S24[2]),
        ("SM8650-AC", S24[2]),
        ("qcs8550 (proxy)", PROXY),
        ("qcs8550", PROXY),
        ("google-tensor-g4", PIXEL),
    ],
)
def test_a_name_in_any_form(name: str, meant: CloudDevice) -> None:
    assert find_device(name, ALL, Console(quiet=True)) == meant


def test_which_was_chosen_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    find_device("sm8650", ALL, Console())
    said = capsys.readouterr().err
    assert "Samsung Galaxy S24: its newest system, 15 (AI Hub also has 14, 9)" in said
    assert "sm8650: Samsung Galaxy S24" in said
    find_device("QCS8550 (Proxy)", ALL, Console())
    assert "other hardware with the same HTP" in capsys.readouterr().err


def test_a_device_that_is_gone_is_not_replaced_but_near_ones_are_named() -> None:
    with pytest.raises(HubDeviceError, match="no device 'Samsung Galaxy S24\\+'") as raised:
        find_device("Samsung Galaxy S24+", ALL, Console(quiet=True))
    assert raised.value.why.startswith("Nearest: Samsung Galaxy S24, Samsung Galaxy S24 Ultra")
    with pytest.raises(HubDeviceError) as proxy:
        find_device("QCS8550 (Prox", ALL, Console(quiet=True))
    assert "Nearest: QCS8550 (Proxy)" in proxy.value.why
    assert "(Proxy) is other hardware" in proxy.value.why
    with pytest.raises(HubDeviceError) as only:
        find_device("8 Gen 2", [device("QCS8550 (Proxy)", "12", "a", *QNN, "hexagon:v73"), PIXEL], Console(quiet=True))
    assert only.value.why == "Nearest: QCS8550 (Proxy). (Proxy) is other hardware with the same HTP."
    with pytest.raises(HubDeviceError, match="none has such a name"):
        find_device("Nokia 3310", ALL, Console(quiet=True))


def test_attributes_are_read() -> None:
    found = CloudDevice("X (Proxy)", "1", ("chipset:a", "chipset:b", "hexagon:v75", "soc-model:57", "qnn-sd:stand-in"))
    assert (found.chipsets, found.hexagon, found.soc_model, found.is_proxy) == (("a", "b"), 75, 57, True)
    assert found.is_stand_in
    bare = CloudDevice("X", "1", ("hexagon:new",))
    assert (bare.chipsets, bare.hexagon, bare.soc_model, bare.is_proxy) == ((), None, None, False)
    assert not bare.is_stand_in


def test_the_profile_is_that_of_the_chip_and_not_of_a_number() -> None:
    # AI Hub's soc-model isn't known to be QNN's: 36 is another chip there.
    odd = CloudDevice("Nobody's", "1", ("chipset:qualcomm-snapdragon-8gen3", "soc-model:36"))
    assert (profile := profile_of(odd)) is not None
    assert profile.soc == "sm8650"
    assert profile_of(UNKNOWN) is None


def test_all_is_one_device_of_every_soc() -> None:
    assert [each.name for each in one_per_soc(ALL)] == ["QCS8550 (Proxy)", "Samsung Galaxy S23", "Samsung Galaxy S24"]
    assert one_per_soc(ALL)[-1].os == "15"
    with pytest.raises(HubDeviceError, match="no device whose SoC has a profile"):
        one_per_soc([PIXEL, device("Samsung Galaxy S24", "15", "qualcomm-snapdragon-8gen3", "framework:tflite")])


def test_names_that_a_shell_completes() -> None:
    offered = dict(device_names())
    assert offered["Samsung Galaxy S24"] == "Snapdragon 8 Gen 3"
    assert "all" in offered


def test_a_part_of_a_name_is_near_to_all_that_have_it() -> None:
    with pytest.raises(HubDeviceError, match="no device 'S24'") as raised:
        find_device("S24", ALL, Console(quiet=True))
    assert raised.value.why.startswith("Nearest: Samsung Galaxy S24, Samsung Galaxy S24 Ultra")


def test_a_soc_of_which_there_is_no_device_is_named_as_one() -> None:
    with pytest.raises(HubDeviceError, match=r"The account has no device with Snapdragon 7 Gen 3 \(sm7550\)"):
        find_device("sm7550", ALL, Console(quiet=True))

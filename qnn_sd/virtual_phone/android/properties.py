"""Android's system properties of a virtual phone."""

from __future__ import annotations

from qnn_sd.config import DeviceProfile
from qnn_sd.device_properties import VIRTUAL_PHONE_PROPERTY

MODEL = "qnn-sd virtual phone"
# Android 15; ONNX Runtime's QNN plugin is known to work from API level 27 on.
_SDK, _RELEASE = "35", "15"
# Qualcomm's names of the SoCs' platforms; a SoC that isn't here is named by its number.
_PLATFORMS = {
    "sm8350": "lahaina",
    "sm8450": "taro",
    "sm8475": "cape",
    "sm8550": "kalama",
    "sm8650": "pineapple",
    "sm8750": "sun",
}


def system_properties(profile: DeviceProfile, serial: str, overrides: dict[str, str]) -> dict[str, str]:
    """Android's system properties of a phone with a SoC.

    Args:
        profile: of the SoC.
        serial: ``ro.serialno``.
        overrides: values that replace these.
    """
    properties = {
        "ro.board.platform": _PLATFORMS.get(profile.soc, profile.soc),
        "ro.build.type": "user",
        "ro.build.version.release": _RELEASE,
        "ro.build.version.sdk": _SDK,
        "ro.hardware": "qcom",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a",
        "ro.product.device": "qnnsd",
        "ro.product.manufacturer": "qnn-sd",
        "ro.product.model": MODEL,
        "ro.product.name": "qnnsd",
        VIRTUAL_PHONE_PROPERTY: "1",
        "ro.serialno": serial,
        "ro.soc.manufacturer": "QTI",
        "ro.soc.model": profile.soc.upper(),
        "sys.boot_completed": "1",
    }
    return dict(sorted({**properties, **overrides}.items()))

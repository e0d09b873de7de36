"""Model configs and device profiles: strict models of ``model_configs/*.toml`` and ``device_profiles/*.toml``."""

from qnn_sd.config.device_profile import (
    DeviceProfile,
    PublishedMs,
    find_profile,
    load_profile,
    profiles,
    soc_label,
    socs,
)
from qnn_sd.config.model_config import (
    LCM_STEPS,
    CalibrationConfig,
    GuidanceSetting,
    ModelConfig,
    QuantizationConfig,
    RecordedConfig,
    Rounding,
    RoundingConfig,
    VerificationConfig,
    load_model,
    models,
)
from qnn_sd.config.toml_file import StrictModel, read_toml

__all__ = [
    "LCM_STEPS",
    "CalibrationConfig",
    "DeviceProfile",
    "GuidanceSetting",
    "ModelConfig",
    "PublishedMs",
    "QuantizationConfig",
    "RecordedConfig",
    "Rounding",
    "RoundingConfig",
    "StrictModel",
    "VerificationConfig",
    "find_profile",
    "load_model",
    "load_profile",
    "models",
    "profiles",
    "read_toml",
    "soc_label",
    "socs",
]

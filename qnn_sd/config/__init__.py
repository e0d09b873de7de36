"""Model configs and device profiles: strict models of ``model_configs/*.toml`` and ``device_profiles/*.toml``."""

from qnn_sd.config.architecture import Architecture
from qnn_sd.config.device_profile import (
    DeviceProfile,
    PublishedMs,
    find_profile,
    load_profile,
    profiles,
    soc_label,
    socs,
)
from qnn_sd.config.htp_versions import takes_int16_operands
from qnn_sd.config.known_socs import KnownSoc, known_soc, known_socs
from qnn_sd.config.model_config import (
    DEMO_MODEL,
    LCM_STEPS,
    CalibrationConfig,
    GuidanceSetting,
    ModelConfig,
    QuantizationConfig,
    RecordedConfig,
    Rounding,
    RoundingConfig,
    VerificationConfig,
    is_possible_size,
    load_model,
    models,
    models_for,
    refuse_bad_size,
)
from qnn_sd.config.toml_file import StrictModel, read_toml

__all__ = [
    "DEMO_MODEL",
    "LCM_STEPS",
    "Architecture",
    "CalibrationConfig",
    "DeviceProfile",
    "GuidanceSetting",
    "KnownSoc",
    "ModelConfig",
    "PublishedMs",
    "QuantizationConfig",
    "RecordedConfig",
    "Rounding",
    "RoundingConfig",
    "StrictModel",
    "VerificationConfig",
    "find_profile",
    "is_possible_size",
    "known_soc",
    "known_socs",
    "load_model",
    "load_profile",
    "models",
    "models_for",
    "profiles",
    "read_toml",
    "refuse_bad_size",
    "soc_label",
    "socs",
    "takes_int16_operands",
]

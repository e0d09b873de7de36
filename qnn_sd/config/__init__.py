"""Model configs and device profiles: strict models of ``model_configs/*.toml`` and ``device_profiles/*.toml``."""

from qnn_sd.config.architecture import Architecture
from qnn_sd.config.compatibility import caution_for
from qnn_sd.config.device_profile import DeviceProfile, PublishedMs, joint_name
from qnn_sd.config.htp_versions import takes_int16_operands
from qnn_sd.config.known_socs import KnownSoc, known_qairt, known_soc, known_socs, soc_named
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
from qnn_sd.config.profile_files import (
    StandIn,
    find_profile,
    load_profile,
    no_binaries,
    profile_paths,
    profiles,
    socs,
    stand_in,
)
from qnn_sd.config.soc_names import ALL_SOCS, soc_label
from qnn_sd.config.toml_file import StrictModel, read_toml

__all__ = [
    "ALL_SOCS",
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
    "StandIn",
    "StrictModel",
    "VerificationConfig",
    "caution_for",
    "find_profile",
    "is_possible_size",
    "joint_name",
    "known_qairt",
    "known_soc",
    "known_socs",
    "load_model",
    "load_profile",
    "models",
    "models_for",
    "no_binaries",
    "profile_paths",
    "profiles",
    "read_toml",
    "refuse_bad_size",
    "soc_label",
    "soc_named",
    "socs",
    "stand_in",
    "takes_int16_operands",
]

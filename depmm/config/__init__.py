"""Settings of depmm, with types, defaults and descriptions.

Configs are YAML files and ``key=value`` overrides. An unknown setting, a value of the wrong type,
or settings that contradict each other raise a ``ConfigError``.
"""

from depmm.config.data import AugmentConfig, DataConfig, SplitConfig, StepsConfig, TargetConfig
from depmm.config.encoders import (
    AttentionResNetConfig,
    DepNetConfig,
    EmoAudioNetConfig,
    EncoderConfig,
    FaceMapConfig,
    FeatureCnnConfig,
    FrameMeanConfig,
    LoraConfig,
    MfccCnnConfig,
    PretrainedSettings,
    SEResNetConfig,
    SpectrogramCnnConfig,
    SpeechTransformerConfig,
    VoiceVectorConfig,
)
from depmm.config.evaluation import EvaluationConfig, TuningConfig
from depmm.config.experiment import ClassicalConfig, Config, Experiment, ExperimentT, ModelConfig
from depmm.config.extraction import (
    AudioExtraction,
    ExtractConfig,
    FaceExtraction,
    RowSelection,
    StreamConfig,
    ValidityRule,
)
from depmm.config.fusion import (
    DepFormerConfig,
    DepFormerReleaseConfig,
    FusionConfig,
    MeanPoolConfig,
)
from depmm.config.json_schema import config_json_schema
from depmm.config.load import (
    dump_config,
    format_overrides,
    load_config,
    load_experiment,
    load_extract_config,
    load_split_config,
    override_settings,
)
from depmm.config.settings import (
    CROP_SIZE,
    MODALITIES,
    SAMPLE_RATE,
    ConfigError,
    FilePath,
    Modality,
    Settings,
)
from depmm.config.shipped import find_config, list_configs
from depmm.config.training import ClassifierConfig, PhaseConfig, TrainingConfig

__all__ = [
    "CROP_SIZE",
    "MODALITIES",
    "SAMPLE_RATE",
    "AttentionResNetConfig",
    "AudioExtraction",
    "AugmentConfig",
    "ClassicalConfig",
    "ClassifierConfig",
    "Config",
    "ConfigError",
    "DataConfig",
    "DepFormerConfig",
    "DepFormerReleaseConfig",
    "DepNetConfig",
    "EmoAudioNetConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "Experiment",
    "ExperimentT",
    "ExtractConfig",
    "FaceExtraction",
    "FaceMapConfig",
    "FeatureCnnConfig",
    "FilePath",
    "FrameMeanConfig",
    "FusionConfig",
    "LoraConfig",
    "MeanPoolConfig",
    "MfccCnnConfig",
    "Modality",
    "ModelConfig",
    "PhaseConfig",
    "PretrainedSettings",
    "RowSelection",
    "SEResNetConfig",
    "Settings",
    "SpectrogramCnnConfig",
    "SpeechTransformerConfig",
    "SplitConfig",
    "StepsConfig",
    "StreamConfig",
    "TargetConfig",
    "TrainingConfig",
    "TuningConfig",
    "ValidityRule",
    "VoiceVectorConfig",
    "config_json_schema",
    "dump_config",
    "find_config",
    "format_overrides",
    "list_configs",
    "load_config",
    "load_experiment",
    "load_extract_config",
    "load_split_config",
    "override_settings",
]

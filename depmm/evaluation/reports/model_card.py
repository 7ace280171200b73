"""The model card of a run: ``README.md`` in the format of the Hugging Face Hub.

The card contains names of corpora and numbers of subjects, but no subject ids except those of
sessions that no fold tests, and no paths. The card of an export has no ids. The files of a run that
name subjects are those of ``depmm.schemas.run_files``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depmm.config import ClassicalConfig, Config, Experiment, TargetConfig
from depmm.data.signals.build import build_signals
from depmm.evaluation.reports.rendering import render
from depmm.evaluation.reports.tables import metrics_table
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.files.writing import write_text
from depmm.pages.templates import number
from depmm.schemas.run_files import list_names

LICENSE_NAME = "terms-of-the-training-corpora"  # agreements of corpora also apply to weights


@dataclass(frozen=True)
class SharedModels:
    """What the card of an exported run says beside that of the run.

    Attributes
    ----------
    n_trained : int
        Number of models of the run, of which the export can contain one.
    base_models : sequence of str
        Names on the hub of the pre-trained networks.
    onnx : bool
        Whether the export contains ONNX graphs.
    """

    n_trained: int
    base_models: Sequence[str] = ()
    onnx: bool = False


def write_model_card(
    folder: Path,
    content: Mapping[str, Any],
    config: Experiment,
    models: Sequence[str],
    shared: SharedModels | None = None,
) -> None:
    """Write the model card to ``README.md``.

    Parameters
    ----------
    folder : Path
        Folder of the report.
    content : mapping of str to object
        The content of ``metrics.json``.
    config : Config or ClassicalConfig
        Config of the run.
    models : sequence of str
        Folders of the trained models relative to the folder of the run; ``.`` is the run itself.
    shared : SharedModels, optional
        For the card of an export, in place of that of a run.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    target_text = _describe_target(config.target)
    tracks = {signal.track for signal in build_signals(config.data).values()}
    media = "video" if "face" in tracks else "audio" if "audio" in tracks else "text"
    results = [
        EvalResult(
            task_type=f"{media}-classification" if config.target.kind == "binary" else "other",
            task_name=target_text,
            dataset_type="+".join(content["corpora"]),
            dataset_name=f"{', '.join(content['corpora'])}, subjects not used for training",
            metric_type=name,
            metric_name=f"{METRICS[name].label} ({_interval(content, entry)})",
            metric_value=round(entry["value"], 4),
        )
        for target in content["targets"]
        for name in HEADLINE[target]
        if (entry := content["metrics"][name])["value"] is not None
    ]
    data = ModelCardData(
        license="other",
        license_name=LICENSE_NAME,
        library_name="depmm",
        tags=[
            *("affective-computing", "research-only", "depression"),
            *(["onnx"] if shared and shared.onnx else []),
            *config.data.modalities,
        ],
        base_model=list(shared.base_models) if shared and shared.base_models else None,
        pipeline_tag=f"{media}-classification" if config.target.kind == "binary" else None,
        model_name=config.name,
        eval_results=results,
    )
    body = render(
        "model_card.md.jinja",
        m=content,
        name=config.name,
        target=target_text,
        parts=_describe_parts(config),
        classical=isinstance(config, ClassicalConfig),
        models=models,
        shared=shared,
        n_trained=shared.n_trained if shared else len(models),
        always=", ".join(f"`{name}`" for name in list_names("always")),
        possibly=", ".join(f"`{name}`" for name in list_names("possibly")),
        table=metrics_table(content, config.name).markdown(),
    )
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")
    write_text(folder / "README.md", f"{card.content.rstrip()}\n")


def _describe_parts(config: Experiment) -> list[str]:
    """Describe encoders and fusion of a network, or measures and model of a classical model.

    Settings that were tuned are those of the folds, not those of the config.
    """
    if isinstance(config, ClassicalConfig):
        parts = _describe_classical(config)
    else:
        assert isinstance(config, Config)
        encoders = config.model.encoders
        parts = [
            *(f"Encoder of the {name} modality: `{part.kind}`" for name, part in encoders.items()),
            f"Fusion of steps and modalities: `{config.model.fusion.kind}`",
        ]
    if config.tuning is not None:
        names = ", ".join(f"`{name}`" for name in config.tuning.names)
        parts.append(
            f"Chosen in each fold by nested tuning, in place of the above: {names} (`tuning.csv`)"
        )
    return parts


def _describe_classical(config: ClassicalConfig) -> list[str]:
    settings = config.classical
    output = "logit" if config.target.kind == "binary" else "score"
    unit = f"steps, whose mean {output} is used"
    if settings.unit == "session":
        pooling = {"mean": "mean", "std": "standard deviation"}
        pooled = " and ".join(pooling[name] for name in settings.pooling)
        unit = f"sessions ({pooled} of the measures over steps)"
    fusion = f"; {settings.fusion} fusion of modalities" if len(settings.measures) > 1 else ""
    parts = [
        *(f"Measures of {name}: `{', '.join(s)}`" for name, s in settings.measures.items()),
        f"Model: `{settings.model.kind}` on {unit}{fusion}",
    ]
    if settings.refit:
        parts.append("Fitted again on training and validation subjects before it was tested")
    return parts


def _describe_target(target: TargetConfig) -> str:
    """Describe the target by its column and classes, which need not be those of depression."""
    if target.positive:
        return f"{target.column}: {', '.join(target.positive)} against {', '.join(target.negative)}"
    words = {"binary": "two classes", "severity": "severity", "levels": "severity levels"}
    return f"{target.column}: {words[target.kind]}"


def _interval(content: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    percent = f"{100 * content['bootstrap']['confidence']:g} %"
    return f"{percent} CI {number(entry['ci_low'], 2)} to {number(entry['ci_high'], 2)}"

"""The model card of a run: README.md in the format of the Hugging Face Hub, from metrics.json.

It names corpora and counts subjects; no ids, no paths of the machine that trained.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depmm.config import Config, TargetConfig
from depmm.evaluation.reports.rendering import number, render, write_whole
from depmm.evaluation.reports.tables import metrics_table
from depmm.evaluation.stats.metrics import HEADLINE, METRICS

LICENSE_NAME = "terms-of-the-training-corpora"  # weights of a corpus are bound by its agreement


def write_model_card(
    folder: Path, content: Mapping[str, Any], config: Config, models: Sequence[str]
) -> None:
    """Write ``README.md`` beside a run's report.

    Parameters
    ----------
    folder : of the report
    content : of ``metrics.json``
    config : of the run
    models : folders of the trained models below the run's folder, ``.`` for itself
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    task = _task(config.target)
    media = "video" if "face" in config.data.modalities else "audio"
    results = [
        EvalResult(
            task_type=f"{media}-classification" if config.target.kind == "binary" else "other",
            task_name=task,
            dataset_type="+".join(content["corpora"]),
            dataset_name=f"{', '.join(content['corpora'])}, subjects not trained on",
            metric_type=name,
            metric_name=f"{METRICS[name].label} ({_interval(content, entry)})",
            metric_value=round(entry["value"], 4),
        )
        for own in content["targets"]
        for name in HEADLINE[own]
        if (entry := content["metrics"][name])["value"] is not None
    ]
    data = ModelCardData(
        license="other",
        license_name=LICENSE_NAME,
        library_name="depmm",
        tags=["affective-computing", "research-only", *config.data.modalities],
        model_name=config.name,
        eval_results=results,
    )
    body = render(
        "model_card.md.jinja",
        m=content,
        name=config.name,
        task=task,
        encoders={name: encoder.kind for name, encoder in config.model.encoders.items()},
        fusion=config.model.fusion.kind,
        models=models,
        table=metrics_table(content, config.name).markdown(),
    )
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")
    write_whole(folder / "README.md", f"{card.content.rstrip()}\n")


def _task(target: TargetConfig) -> str:
    """Say what is predicted: a model of acted sadness is no model of depression."""
    if target.positive:
        return f"{target.column}: {', '.join(target.positive)} against {', '.join(target.negative)}"
    words = {"binary": "two classes", "severity": "severity", "levels": "severity levels"}
    return f"{target.column}: {words[target.kind]}"


def _interval(content: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    percent = f"{100 * content['bootstrap']['confidence']:g} %"
    return f"{percent} interval {number(entry['ci_low'], 2)} to {number(entry['ci_high'], 2)}"

"""Licences of the parts of a model, for ``LICENCES.md`` of an export."""

from depmm.config import Config, Experiment, PretrainedSettings
from depmm.pages.templates import markdown_text
from depmm.sharing.filters import name_of


def describe_licences(config: Experiment) -> str:
    """Describe the licences of code, weights and pre-trained parts.

    Parameters
    ----------
    config : Config or ClassicalConfig
        Config of the run.

    Returns
    -------
    str
        Text of ``LICENCES.md``.
    """
    lines = [
        "# Licences",
        "",
        "- Code of depmm: Apache-2.0.",
        "- Weights: the agreements of the corpora on which they were trained also apply to them. "
        "They decide whether this folder may be given to others.",
    ]
    for modality, source, licence, corpora in list_pretrained(config):
        text = f"- Pre-trained network of {modality}: `{source}`, licence "
        text += markdown_text(licence) if licence else "not stated in the config: look it up"
        if corpora:
            text += f"; trained on {markdown_text(', '.join(corpora))}"
        lines.append(f"{text}. Its weights are a part of this model.")
    if isinstance(config, Config):
        lines += [
            f"- Initial weights of {modality}: `{name_of(str(path))}`, whose licence also applies."
            for modality, path in config.training.weights.items()
        ]
    return "\n".join(lines) + "\n"


def list_pretrained(config: Experiment) -> list[tuple[str, str, str | None, list[str]]]:
    """List the pre-trained networks of a model.

    Parameters
    ----------
    config : Config or ClassicalConfig
        Config of the run.

    Returns
    -------
    list of tuple
        Modality, name of the network, its licence or None, and the corpora of its training.
    """
    if not isinstance(config, Config):
        return []
    return [
        (modality, name_of(encoder.source), encoder.license, list(encoder.pretrained_on))
        for modality, encoder in config.model.encoders.items()
        if isinstance(encoder, PretrainedSettings)
    ]

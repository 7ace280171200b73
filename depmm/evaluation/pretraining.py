"""Pre-trained encoders of an experiment whose weights were trained on the evaluated corpora."""

from collections.abc import Mapping

from depmm.config import Config, Experiment, PretrainedSettings
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.corpora.pretraining import find_pretraining_overlap


def pretrained_encoders(config: Experiment) -> dict[str, PretrainedSettings]:
    """Return the settings of the pre-trained encoders of an experiment.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment.

    Returns
    -------
    dict of str to PretrainedSettings
        By modality; empty for a classical model.
    """
    encoders = config.model.encoders.items() if isinstance(config, Config) else ()
    return {key: encoder for key, encoder in encoders if isinstance(encoder, PretrainedSettings)}


def pretraining_overlap(config: Experiment, corpora: Mapping[str, CorpusFacts]) -> list[str]:
    """Find evaluated corpora on which an encoder was pre-trained, or to which these are related.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment.
    corpora : mapping of str to CorpusFacts
        The evaluated corpora, with the facts of the manifest.

    Returns
    -------
    list of str
        One clause for each encoder and pair of corpora.
    """
    return [
        f"model.encoders.{key}: {clause}"
        for key, encoder in pretrained_encoders(config).items()
        for clause in find_pretraining_overlap(encoder.pretrained_on, corpora, corpora)
    ]

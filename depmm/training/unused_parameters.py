"""Parameters that have no gradient in some optimizer steps, for training on several processes."""

from depmm.config import Config
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.models.encoders.pretrained import PretrainedEncoder
from depmm.models.fusion.mean_pool import MeanPool
from depmm.models.model import DepressionModel


def has_unused_parameters(config: Config, data: ExperimentData, model: DepressionModel) -> bool:
    """Find out whether a trained parameter may have no gradient in some optimizer step.

    The encoder of a modality is unused if no session of a batch has the modality. If all parameters
    are always used, ``DistributedDataParallel`` need not search the unused ones in each step.

    Parameters
    ----------
    config : Config
        The experiment.
    data : ExperimentData
        Sessions of the experiment.
    model : DepressionModel
        The model; frozen parameters do not count.

    Returns
    -------
    bool
        Whether there are such parameters.
    """
    if model.auxiliary_step_head is not None and config.training.auxiliary_loss_weight == 0:
        return True
    if not isinstance(model.fusion, MeanPool):
        # DEP-Former: if all steps of a short batch are selected, no index needs to be shared
        return True
    # layers after the chosen one, and the vector of masked frames
    for encoder in model.encoders.values():
        if isinstance(encoder, PretrainedEncoder) and any(
            parameter.requires_grad for parameter in encoder.backbone.parameters()
        ):
            return True
    single_steps = config.training.unit == "step"
    return modality_is_missing(data.dataset, data.indices("train"), single_steps)


def modality_is_missing(dataset: SessionDataset, sessions: list[int], single_steps: bool) -> bool:
    """Find out whether a training sample may have no signal of a modality.

    Parameters
    ----------
    dataset : SessionDataset
        The sessions and the settings of their augmentation.
    sessions : list of int
        Rows of the dataset.
    single_steps : bool
        Whether the samples are steps and not whole sessions.

    Returns
    -------
    bool
        Whether there is such a sample.

    Raises
    ------
    StoreError
        If a session is missing or damaged.
    """
    settings = dataset.settings
    if len(settings.modalities) == 1:
        return False  # each sample has a signal
    if settings.augment.modality_dropout > 0:
        return True
    every_step = single_steps or settings.augment.keep_steps < 1
    for index in sessions:
        for steps in dataset.present_steps(index).values():
            if not (steps.all() if every_step else steps.any()):
                return True
    return False

"""DepressionConfig: the ``config.json`` of a saved DepressionModel."""

# transformers has no type annotations that mypy can use
# mypy: disallow-subclassing-any=False

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from depmm.models.saved import MODEL_TYPE, missing_model, read_saved_config


class DepressionConfig(PreTrainedConfig):
    """Configuration of a ``DepressionModel``, stored as ``config.json`` of a run.

    The fields are named like the settings of the ``model:`` and ``target:`` sections.

    Parameters
    ----------
    encoders : dict of str to dict, optional
        Settings of the encoder of each modality, as in ``ModelConfig``.
    fusion : dict, optional
        Settings of the fusion, as in ``ModelConfig``.
    subtract_session_mean : bool, default False
        Whether the mean step of a session is subtracted from its steps before the fusion, which
        removes speaker and microphone and leaves the differences between the words of a subject.
        The abstract of DEP-Former mentions "emotional changes", but its release does not subtract
        the mean. A session of one step becomes all zeros.
    auxiliary_step_head : bool, default False
        Whether each step also gets a prediction, for an auxiliary loss.
    target : {"binary", "severity", "levels"}, default "binary"
        What is predicted.
    output : {"number", "linear", "classes", "ordinal"}, default "number"
        What the last layer predicts, see ``TargetConfig.output``.
    score_range : sequence of float, default (0.0, 1.0)
        Lowest and highest score or level.
    **kwargs
        Further fields of ``PreTrainedConfig``.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        encoders: dict[str, dict[str, Any]] | None = None,
        fusion: dict[str, Any] | None = None,
        subtract_session_mean: bool = False,
        auxiliary_step_head: bool = False,
        target: str = "binary",
        output: str = "number",
        score_range: Sequence[float] = (0.0, 1.0),
        **kwargs: Any,
    ) -> None:
        # transformers calls the constructor without arguments to find the changed fields
        self.encoders = encoders or {"audio": {"kind": "mfcc_cnn"}}
        self.fusion = fusion or {"kind": "mean_pool"}
        self.subtract_session_mean = subtract_session_mean
        self.auxiliary_step_head = auxiliary_step_head
        self.target = target
        self.output = output
        self.score_range = list(score_range)
        super().__init__(**kwargs)

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: Path | str, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read and check ``config.json`` of a local folder, for ``from_pretrained``.

        Parameters
        ----------
        pretrained_model_name_or_path : Path or str
            Folder of the saved model.
        **kwargs
            Options of transformers, of which ``subfolder`` is used.

        Returns
        -------
        content : dict of str to object
            The content of the file.
        kwargs : dict of str to object
            The other options.

        Raises
        ------
        DepmmError
            If there is no such folder or file, or it cannot be used.
        """
        folder = Path(pretrained_model_name_or_path) / kwargs.pop("subfolder", "")
        if not folder.is_dir():
            raise missing_model(folder)
        return read_saved_config(folder), kwargs

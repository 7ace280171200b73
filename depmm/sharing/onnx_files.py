"""ONNX graphs of a model of a run."""

from pathlib import Path

from depmm.config import Config, Experiment
from depmm.models.model import DepressionModel
from depmm.models.onnx.errors import OnnxError
from depmm.models.onnx.model import write_onnx


def write_graphs(model: Path, config: Experiment, out: Path) -> dict[str, float]:
    """Write the graphs of a network.

    Parameters
    ----------
    model : Path
        Folder of the model.
    config : Config or ClassicalConfig
        Its config.
    out : Path
        Folder of the graphs.

    Returns
    -------
    dict of str to float
        File of each graph -> largest difference of onnxruntime to torch.

    Raises
    ------
    OnnxError
        If the model is classical, or a part of it cannot be exported.
    """
    if not isinstance(config, Config):
        raise OnnxError(
            f"{model}: a classical model cannot be exported to ONNX.",
            file=model,
            setting="classical",
            remedy="Export the run without --onnx.",
        )
    return write_onnx(DepressionModel.from_pretrained(model).eval(), config.data, out)

"""Classical models in files of skops, which are read without pickle.

A file of skops names the type of each object. Only the types of scikit-learn and numpy that skops
itself trusts, and those of ``TRUSTED``, are built; a file with any other type is refused before any
object is built. The objects are then compared with the settings, and the indices that compiled code
uses are checked, before anything is predicted (:mod:`depmm.models.classical.content_checks`).
"""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import sklearn
import skops.io
from pydantic import ValidationError
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from depmm.config.classical import ClassicalSettings
from depmm.files.checksums import read_bytes, write_bytes
from depmm.files.damage import damaged
from depmm.models.classical.content_checks import check_pipeline
from depmm.models.classical.model import ALL, ClassicalModel
from depmm.models.errors import ModelError

FORMAT = 1  # increase it when the content changes
MAX_BYTES = 2**30
# what the estimators contain beside the types that skops trusts by default
TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.tree._tree.Tree",
)


def save_model(model: ClassicalModel, path: Path) -> None:
    """Write a model.

    Parameters
    ----------
    model : ClassicalModel
        The fitted model.
    path : Path
        The file; it is replaced atomically.
    """
    content = {
        "format": FORMAT,
        "scikit_learn": sklearn.__version__,
        "settings": model.settings.model_dump_json(),
        "binary": model.binary,
        "score_range": list(model.score_range),
        "columns": model.columns,
        "pipelines": model.pipelines,
    }
    write_bytes(path, skops.io.dumps(content))


def load_model(path: Path) -> ClassicalModel:
    """Read a model.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    ClassicalModel
        The fitted model.

    Raises
    ------
    DamagedFileError
        If the file is damaged, or is not a classical model.
    ModelError
        If it contains a type that is not trusted, or was written by another version of
        scikit-learn.
    """
    data = read_bytes(path, MAX_BYTES)
    try:
        _check_size(data)
        untrusted = set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED)
    except Exception as error:  # skops raises errors of zip, JSON and of its own
        raise damaged(path, f"not a file of skops ({error})") from None
    if untrusted:
        raise ModelError(
            f"{path}: the file contains {', '.join(sorted(untrusted))}, which no classical model "
            "of depmm contains. It was not read.",
            file=path,
            value=sorted(untrusted),
            remedy="Use a file that depmm has written.",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)  # checked below
        try:
            content = skops.io.loads(data, trusted=list(TRUSTED))
        except Exception as error:
            raise damaged(path, f"not a classical model ({error})") from None
    return _check(path, content)


def _check(path: Path, content: Any) -> ClassicalModel:
    """Check the parts of a file, which can come from elsewhere."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise damaged(path, "not a classical model of this version of depmm")
    written = content.get("scikit_learn")
    if not isinstance(written, str):
        raise damaged(path, "not a classical model: it names no version of scikit-learn")
    if _minor(written) != _minor(sklearn.__version__):
        raise ModelError(
            f"{path}: the model was written with scikit-learn {written}, but "
            f"{sklearn.__version__} is installed. Estimators cannot be moved between versions.",
            file=path,
            value=written,
            remedy=f"Install scikit-learn {written}, or train the model again.",
        )
    try:
        settings = ClassicalSettings.model_validate_json(content["settings"])
        columns, pipelines = content["columns"], content["pipelines"]
        low, high = map(float, content["score_range"])
        binary = content["binary"]
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise damaged(path, f"not a classical model ({type(error).__name__})") from None
    names = [ALL] if settings.fusion == "early" else list(columns)
    correct = (
        isinstance(binary, bool)
        and isinstance(pipelines, dict)
        and isinstance(columns, dict)
        and list(columns) == list(settings.measures)
        and all(isinstance(name, str) for names in columns.values() for name in names)
        and list(pipelines) == names
        and all(isinstance(pipeline, Pipeline) for pipeline in pipelines.values())
    )
    if not correct:
        raise damaged(path, "not a classical model: its parts do not match")
    model = ClassicalModel(settings, binary, (low, high), columns, pipelines)
    for name, pipeline in pipelines.items():
        n_columns = len(model.pipeline_columns(name))
        try:
            check_pipeline(pipeline, settings.model, binary, n_columns)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise damaged(path, f"not a classical model ({error})") from None
    return model


def _check_size(data: bytes) -> None:
    """Refuse compressed content, which can be far larger than the file."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        if sum(entry.file_size for entry in file.infolist()) > len(data):
            raise ValueError("its content is compressed")


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]

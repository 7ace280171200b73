"""Classical baselines: pooled MFCC and a scikit-learn classifier, on the splits of the networks.

Lu et al. (2021) compare their network with a Gaussian process, an SVM, k-nearest neighbours and
AdaBoost, all on MFCC, but do not describe how the MFCC are pooled. The pooling here was fixed
before any result: mean and standard deviation over the frames of a step, then the mean over the
steps of a session, because labels belong to sessions. Hyper-parameters are the defaults of
scikit-learn, except for the kernel of the Gaussian process and the class weights of the SVM.

Scaler and classifier are fitted on training subjects only. Validation subjects are used only for
the decision threshold, which the evaluation computes from their predictions. Estimators are not
saved: they would have to be pickled, and are fitted again in seconds.

References
----------
Lu et al., "Speech depression recognition based on attentional residual network", Front. Biosci.
2021.
"""

import logging

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from sklearn.ensemble import AdaBoostClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from depmm.config import ClassicalConfig, ClassifierConfig
from depmm.data.data_summary import record_data_summary
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.evaluation.batch_prediction import prediction_table
from depmm.files.checksums import write_table
from depmm.models.encoders.frontends import MFCC, SPEECH_HOP_LENGTH, SPEECH_N_FFT
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SUBJECT_KEY

logger = logging.getLogger(__name__)


def train_classical(config: ClassicalConfig, run: RunFolder) -> None:
    """Fit a classifier on the training subjects and predict every session.

    The run has the same files as the run of a network except model and history. Equal seeds give
    equal predictions; the seed only affects how AdaBoost chooses between equally good stumps.

    Parameters
    ----------
    config : ClassicalConfig
        The experiment, one fold of it.
    run : RunFolder
        Folder of the run; a finished run is not changed.

    Raises
    ------
    ConfigError
        If the folder contains a run with another config.
    DataError, StoreError, SplitError, ManifestError
        If the data do not match the config.
    ValueError
        If there are more MFCC than mel bands.
    """
    data = load_experiment_data(config)
    if run.finished:
        run.open(config)
        logger.info("%s: already finished", run.path)
        return
    with run.locked():
        run.open(config)
        _fit_and_predict(config, run, data)


def _fit_and_predict(config: ClassicalConfig, run: RunFolder, data: ExperimentData) -> None:
    run.write_split(data.subjects())
    for reason, count in data.excluded.items():
        logger.info("excluded: %d sessions (%s)", count, reason)
    record_data_summary(config, data, run.data_summary)

    settings = config.classical
    mfcc = MFCC(settings.n_mfcc, settings.n_mels, SPEECH_N_FFT, SPEECH_HOP_LENGTH, "hann")
    features = compute_session_features(data.dataset, mfcc)
    classifier = build_classifier(settings, config.seed)
    training = data.indices("train")
    classifier.fit(features[training], data.sessions["target"].to_numpy(int)[training])
    table = pd.DataFrame(
        {
            "index": range(len(features)),
            "prediction": predict_probability(classifier, features),
        }
    )
    write_table(run.predictions, prediction_table(config, data, table))
    subjects = data.sessions.iloc[training][SUBJECT_KEY].drop_duplicates()
    logger.info(
        "%s: %s fitted on %d sessions of %d subjects, %d predictions written",
        run.path,
        settings.classifier,
        len(training),
        len(subjects),
        len(features),
    )


@torch.no_grad()
def compute_session_features(dataset: SessionDataset, mfcc: MFCC) -> np.ndarray:
    """Pool the MFCC of each session: mean and standard deviation over frames, mean over steps.

    Steps without audio are skipped. The waveforms are those that a network receives in evaluation,
    without augmentation.

    Parameters
    ----------
    dataset : SessionDataset
        N sessions with audio.
    mfcc : MFCC
        Front-end with F coefficients.

    Returns
    -------
    ndarray of float64, shape (N, 2 * F)
        F means, then F standard deviations, in decibels.
    """
    features = []
    for index in range(len(dataset)):
        steps = []
        for waveform in dataset[None, index].signals["audio"]:
            if len(waveform):
                batch = torch.from_numpy(waveform).unsqueeze(0)
                coefficients = mfcc(batch, [len(waveform)])[0][0].double()
                std = coefficients.std(dim=1, correction=0)  # 0 for a single frame
                steps.append(torch.cat([coefficients.mean(dim=1), std]))
        features.append(torch.stack(steps).mean(dim=0))
    return torch.stack(features).numpy()


def build_classifier(settings: ClassifierConfig, seed: int) -> Pipeline:
    """Build scaler and classifier.

    Classes are weighted equally if scikit-learn supports it, which is the case for the SVM only.

    Parameters
    ----------
    settings : ClassifierConfig
        Kind of classifier and number of MFCC.
    seed : int
        Seed of the random choices of the classifier.

    Returns
    -------
    Pipeline
        Not yet fitted.
    """
    classifier: GaussianProcessClassifier | SVC | KNeighborsClassifier | AdaBoostClassifier
    match settings.classifier:
        case "gaussian_process":
            # the distance of two sessions in 2 F scaled features is about sqrt(4 F), far above the
            # default length scale of 1; the fit maximises the marginal likelihood from here
            length = np.sqrt(4 * settings.n_mfcc)
            kernel = ConstantKernel() * RBF(length)
            classifier = GaussianProcessClassifier(kernel, random_state=seed)
        case "svm":
            classifier = SVC(C=settings.C, class_weight="balanced")
        case "k_nearest":
            classifier = KNeighborsClassifier()
        case "adaboost":
            classifier = AdaBoostClassifier(random_state=seed)
    return make_pipeline(StandardScaler(), classifier)


def predict_probability(classifier: Pipeline, features: np.ndarray) -> np.ndarray:
    """Predict the probability of the positive class.

    For the SVM this is the sigmoid of its decision function, which preserves the ranks and the
    decision threshold (0.5) of the classifier but is not calibrated. Calibration by
    cross-validation (Platt scaling, ``SVC(probability=True)`` until scikit-learn 1.9 deprecated it)
    would use sessions of the same subject for fitting and calibration unless it is grouped by
    subject, and then needs several subjects of each class. Rank metrics and metrics with a
    threshold from validation subjects do not require calibration.

    Parameters
    ----------
    classifier : Pipeline
        Fitted, from ``build_classifier``.
    features : ndarray of float64, shape (N, 2 * F)
        From ``compute_session_features``.

    Returns
    -------
    ndarray of float64, shape (N,)
        Values from 0 to 1.
    """
    if isinstance(classifier[-1], SVC):
        probability: np.ndarray = expit(classifier.decision_function(features))
    else:
        probability = classifier.predict_proba(features)[:, 1]
    return probability

"""Classical baselines: pooled MFCC and a classifier of scikit-learn, in a network's splits.

Gaussian process, SVM, k-nearest neighbours and AdaBoost are what Lu et al. ("Speech depression
recognition based on attentional residual network", Front. Biosci. 2021) compare with, all on MFCC.
Chosen here, and by no result: a step is an utterance, its MFCC become their mean and deviation over
the frames; a session is the mean of its steps, since labels belong to sessions. Settings are
scikit-learn's defaults but for the Gaussian process' kernel and the balance of the SVM.

Scaler and classifier are fitted on the training people alone. Validation people serve nothing but
the threshold, which the evaluation takes from their predictions. No estimator is saved: it would
have to be pickled, and fits again in seconds.
"""

from collections.abc import Callable

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
from depmm.corpora.splits import write_split
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.batch_prediction import prediction_table
from depmm.models.encoders.acoustic import MFCC
from depmm.runs.folder import RunFolder, write_table


def train_classical(
    config: ClassicalConfig, run: RunFolder, say: Callable[[str], None] = print
) -> None:
    """Fit one classifier on the training people and predict every session.

    The run folder is that of a network, without model and history. Equal seeds give equal
    predictions; other seeds change next to nothing (AdaBoost's choice between equal stumps).

    Parameters
    ----------
    config : the experiment, one fold of it
    run : where it is written; a finished run is left alone
    say : receives what was done

    Raises
    ------
    ConfigError : the folder holds a run of another config
    DataError, StoreError, SplitError, ManifestError : the data do not fit the config
    ValueError : more coefficients than mel bands
    """
    data = load_experiment_data(config)
    run.open(config)
    if run.finished:
        say(f"{run.path}: finished before, nothing to do")
        return
    write_split(data.sessions[["corpus", "subject", "split"]].drop_duplicates(), run.split)
    for reason, count in data.excluded.items():
        say(f"excluded: {count} sessions ({reason})")

    settings = config.classical
    features = session_features(data.dataset, MFCC(settings.n_mfcc, settings.n_mels))
    classifier = build_classifier(settings, config.seed)
    known = data.indices("train")
    classifier.fit(features[known], data.sessions["target"].to_numpy(int)[known])
    table = pd.DataFrame(
        {"index": range(len(features)), "prediction": probability(classifier, features)}
    )
    write_table(prediction_table(config, data, table), run.predictions)
    people = data.sessions.iloc[known][["corpus", "subject"]].drop_duplicates()
    say(
        f"{run.path}: {settings.classifier} fitted on {len(known)} sessions of {len(people)} "
        f"people, {len(features)} predictions written"
    )


@torch.no_grad()
def session_features(dataset: SessionDataset, mfcc: MFCC) -> np.ndarray:
    """Pool the MFCC of each session: mean and deviation over frames, then the mean over steps.

    Steps without sound take no part. Nothing is drawn: these are the waveforms that a network
    predicts from.

    Parameters
    ----------
    dataset : sessions with sound, `N` of them
    mfcc : front-end with `F` coefficients

    Returns
    -------
    float64 array [N, 2 F] in decibels, as many means as deviations
    """
    features = []
    for number in range(len(dataset)):
        steps = []
        for waveform in dataset[None, number].audio or []:
            if len(waveform):
                sound = torch.from_numpy(waveform).unsqueeze(0)
                cepstrum = mfcc(sound, torch.tensor([len(waveform)]))[0][0].double()
                deviation = cepstrum.std(dim=1, correction=0)  # a single frame has none
                steps.append(torch.cat([cepstrum.mean(dim=1), deviation]))
        features.append(torch.stack(steps).mean(dim=0))
    return torch.stack(features).numpy()


def build_classifier(settings: ClassifierConfig, seed: int) -> Pipeline:
    """Build scaler and classifier; classes are balanced where scikit-learn can (SVM alone).

    Parameters
    ----------
    settings : which classifier, on how many coefficients
    seed : of its random choices
    """
    classifier: GaussianProcessClassifier | SVC | KNeighborsClassifier | AdaBoostClassifier
    match settings.classifier:
        case "gaussian_process":
            # the default's fixed length of 1 sees no neighbours among 2 F scaled features, which
            # lie about sqrt(4 F) apart; fitted from there, by marginal likelihood
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


def probability(classifier: Pipeline, features: np.ndarray) -> np.ndarray:
    """Predict the positive class, [N] in [0, 1].

    For the SVM this is the sigmoid of its decision function: it ranks and keeps 0.5 as the
    classifier's own border, but it is not calibrated. Calibration by cross-validation (Platt, what
    ``SVC(probability=True)`` did until scikit-learn 1.9 deprecated it) puts sessions of a person on
    both sides unless grouped; grouped, it asks for several people of each class, and metrics of
    ranks and of a threshold from validation people gain nothing from it within a fold.

    Parameters
    ----------
    classifier : fitted, from ``build_classifier``
    features : [N, 2 F]
    """
    if isinstance(classifier[-1], SVC):
        return expit(classifier.decision_function(features))
    return classifier.predict_proba(features)[:, 1]

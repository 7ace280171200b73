"""Compare MFCC with librosa, and SE-ResNet-50 with ONNX Runtime, in turns.

    OMP_NUM_THREADS=1 python experiments/benchmarks/encoder_speed.py [--record]

The MFCC are those of the front-end of the networks (40 coefficients, 64 bands, 32 ms every 10 ms)
on batches of clips of one length. The embedding of SE-ResNet-50 is that of ``precompute``: crops of
224 x 224 pixels with their normalisation. ONNX Runtime executes the same weights, exported by
torch, with all optimizations of its graph.

A ratio is the median over turns of the ratio of processor times, which a busy machine changes less
than the time of the clock; with one thread, both are equal on a quiet machine. The bounds are the
smallest and largest ratio of a turn.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import torch

from depmm.config import SAMPLE_RATE
from depmm.models.encoders.frontends import MFCC, SPEECH_HOP_LENGTH, SPEECH_N_FFT
from depmm.models.encoders.resnet50 import FaceBackbone
from experiments.benchmarks.turns import ratio, time_in_turns
from experiments.results import aim, publish

BATCHES = ((32, 2), (16, 4), (8, 10))  # clips, seconds of a clip
N_CROPS, CROP_SIZE = 32, 224
MFCC_AIM, NETWORK_AIM = 0.4, 0.9


def compare_mfcc(n_clips: int, length_s: int, n_turns: int) -> dict[str, object]:
    """Measure the MFCC of a batch."""
    rng = np.random.default_rng(0)
    clips = rng.normal(0, 0.1, (n_clips, length_s * SAMPLE_RATE)).astype(np.float32)
    lengths = np.full(n_clips, clips.shape[1])
    front_end = MFCC(40, 64, SPEECH_N_FFT, SPEECH_HOP_LENGTH, "hann").eval()

    def ours() -> np.ndarray:
        with torch.inference_mode():
            return front_end(torch.from_numpy(clips), lengths)[0].numpy()

    def reference() -> np.ndarray:
        return np.stack(
            [
                librosa.feature.mfcc(
                    y=clip, sr=SAMPLE_RATE, n_mfcc=40, n_mels=64, n_fft=SPEECH_N_FFT,
                    hop_length=SPEECH_HOP_LENGTH, pad_mode="constant",
                )
                for clip in clips
            ]
        )  # fmt: skip

    difference = np.abs(ours() - reference()).max()
    seconds = time_in_turns({"ours": ours, "reference": reference}, n_turns)
    return {
        "work": f"MFCC, {n_clips} clips of {length_s} s",
        "reference": "librosa, per clip",
        "ms each": 1000 * float(np.median(seconds["ours"])) / n_clips,
        "ms each, reference": 1000 * float(np.median(seconds["reference"])) / n_clips,
        "ratio": ratio(seconds["ours"], seconds["reference"]),
        "aim": aim(at_most=MFCC_AIM),
        "largest difference": float(difference),
    }


def compare_network(n_crops: int, size: int, n_turns: int) -> dict[str, object]:
    """Measure the embedding of face crops with SE-ResNet-50; the ratio is that of speeds."""
    torch.manual_seed(0)
    backbone = FaceBackbone(True, "vggface2_bgr", frozen=True)
    crops = torch.randint(0, 256, (n_crops, 3, size, size), dtype=torch.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the newer one is slower to export
            torch.onnx.export(backbone.resnet, (backbone.pixels(crops),), path, dynamo=False)
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def ours() -> np.ndarray:
        with torch.inference_mode():
            return backbone.maps(crops).mean(dim=(2, 3)).numpy()

    def reference() -> np.ndarray:
        return session.run(None, {name: backbone.pixels(crops).numpy()})[0].mean(axis=(2, 3))

    expected = reference()
    difference = np.abs(ours() - expected).max() / np.abs(expected).max()
    seconds = time_in_turns({"ours": ours, "reference": reference}, n_turns)
    return {
        "work": f"SE-ResNet-50, {n_crops} crops",
        "reference": "ONNX Runtime",
        "ms each": 1000 * float(np.median(seconds["ours"])) / n_crops,
        "ms each, reference": 1000 * float(np.median(seconds["reference"])) / n_crops,
        "ratio": ratio(seconds["reference"], seconds["ours"]),
        "aim": aim(at_least=NETWORK_AIM),
        "largest difference": float(difference),
    }


def measure(batches: tuple[tuple[int, int], ...], n_crops: int, size: int, n_turns: int) -> list:
    """Measure all rows."""
    rows = [compare_mfcc(clips, length_s, 4 * n_turns) for clips, length_s in batches]
    return [*rows, compare_network(n_crops, size, n_turns)]


def main() -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    rows = measure(BATCHES, N_CROPS, CROP_SIZE, n_turns=5)
    publish(
        "encoder_speed",
        rows,
        options.record,
        command="OMP_NUM_THREADS=1 python experiments/benchmarks/encoder_speed.py --record",
        interval="range of the turns of one run, around their median",
        notes="Milliseconds of processor time on one thread. The ratio of MFCC is that of times "
        "(low is fast), that of SE-ResNet-50 of speeds (high is fast). The largest difference of "
        "SE-ResNet-50 is relative to the largest value of an embedding; that of MFCC is absolute, "
        "for coefficients up to 150.",
    )


if __name__ == "__main__":
    main()

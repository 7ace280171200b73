"""Time the extraction of faces, of a long interview, and with two worker processes.

    python experiments/benchmarks/extraction.py faces VIDEOS... [--record]
    ... extraction.py interview VIDEOS... [--record] [--minutes 5 22]
    ... extraction.py workers VIDEOS... [--record]

VIDEOS are folders with recordings of faces, for example RAVDESS for ``faces`` and GRID for the
others. ``faces`` compares the face tracker (largest face, landmarks, aligned crop) with MediaPipe's
landmarker alone, on the same frames of 853 x 480 pixels and one core, in turns of 20 frames.
``interview`` joins the clips to recordings of 5 and 22 minutes, extracts each with ``depmm
extract`` on one core, and compares their peak memory; its reference is decoding the same recording
and MediaPipe's landmarker alone. ``workers`` extracts every frame of all clips with one and with
two workers, in turns, and the first clip alone, which shows how long the start of the command and
of a worker takes. The time of ``depmm extract`` is that of the whole command.

On a computer that does other work, compare seconds of processor time.
"""

import argparse
import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd

from depmm.config import SAMPLE_RATE, FaceExtraction
from depmm.corpora.manifest import build_manifest, write_manifest
from depmm.media.sound.audio import decode_audio
from depmm.media.video.face_landmarker import find_landmarker
from depmm.media.video.faces import MAX_FACES, FaceTracker, suppress_mediapipe_log
from depmm.media.video.video import decode_frames, read_frames
from experiments.benchmarks.commands import Cost, measure_depmm
from experiments.benchmarks.turns import ratio
from experiments.results import aim, publish, refuse_settings

WIDTH, HEIGHT = 853, 480
N_FRAMES, TURN = 240, 20
REFERENCE_S = 60.0
VIDEO_RATE = 25
NOTES = {
    "faces": "The same frames of 853 x 480 pixels on one core, in turns of 20 frames. The tracker "
    "also converts the landmarks, chooses the largest face and aligns the crop.",
    "interview": "One core, 25 frames per second of 360 x 288 pixels (H.264) with sound (AAC), of "
    "which 5 per second are stored; the whole recording is one step. Time and memory are those of "
    "`depmm extract` with one worker, start included. The reference decodes the first minute of "
    "sound and video and runs MediaPipe's landmarker on the sampled frames, without a start.",
    "workers": "Every frame of all clips; the whole command. Two workers do not share its start: "
    "the imports of the main process, and those of each worker (a large part of them matplotlib, "
    "which MediaPipe imports) with the face model. The start is estimated from the time of all "
    "clips and that of the first one alone, with one worker. "
    "Workers that fill all cores stay on one core each; a single one may use all.",
}
Timing = tuple[float, float]  # seconds, and seconds of processor time


def main() -> None:
    """Print the table of one comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("work", choices=list(NOTES))
    parser.add_argument("folders", type=Path, nargs="+", help="folders with videos of faces")
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 22.0])
    parser.add_argument("--rounds", type=int, default=2, help="of workers")
    parser.add_argument("--record", action="store_true", help="write the results file")
    arguments = parser.parse_args()
    refuse_settings(parser, arguments, "minutes", "rounds")
    files = [path for folder in arguments.folders for path in sorted(folder.rglob("*"))]
    videos = [path for path in files if path.suffix in (".mp4", ".mpg")]
    if not videos:
        parser.error("the folders contain no .mp4 or .mpg file")
    if arguments.work != "workers":
        use_one_core()
    if arguments.work == "faces":
        rows = compare_faces(videos)
    elif arguments.work == "interview":
        rows = measure_interviews(videos, arguments.minutes)
    else:
        rows = compare_workers(videos, arguments.rounds)
    publish(
        f"extraction_{arguments.work}",
        rows,
        arguments.record,
        command=f"python experiments/benchmarks/extraction.py {arguments.work} VIDEOS... --record",
        interval=None if arguments.work == "interview" else "median and range of the turns",
        notes=NOTES[arguments.work],
    )


def compare_faces(videos: list[Path]) -> list[dict[str, Any]]:
    """Compare the tracker with the landmarker alone, on one core."""
    frames = list(itertools.islice(itertools.cycle(sample_faces(videos)), N_FRAMES))
    landmarker = open_landmarker()
    turns: dict[str, list[Timing]] = {"landmarker": [], "tracker": []}
    with FaceTracker(find_landmarker(), FaceExtraction().min_confidence) as tracker:
        tracker.track(0.0, frames[0])
        for first in range(0, len(frames), TURN):
            part = frames[first : first + TURN]
            detect = functools.partial(landmarker_alone, landmarker, part)
            turns["landmarker"].append(timed(detect))
            turns["tracker"].append(timed(functools.partial(tracker_alone, tracker, part)))
    landmarker.close()
    rows = []
    for name, clock in (("wall clock", 0), ("processor time", 1)):
        own, reference = ([turn[clock] for turn in turns[key]] for key in ("tracker", "landmarker"))
        rows.append(
            {
                "clock": name,
                "tracker, frames/s": round(TURN / statistics.median(own), 1),
                "landmarker alone, frames/s": round(TURN / statistics.median(reference), 1),
                "ratio": ratio(np.array(reference), np.array(own)),
                "aim": aim(at_least=0.88),
            }
        )
    return rows


def measure_interviews(videos: list[Path], minutes: list[float]) -> list[dict[str, Any]]:
    """Extract interviews of several lengths on one core."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = join_clips(videos, folder / "clips.mp4")
        for length in minutes:
            recording = write_interview(clips, folder / f"{length:g}.mp4", length)
            write_one_session(recording, folder / f"manifest-{length:g}")
            reference = reference_speed(recording, min(REFERENCE_S, 60 * length))
            manifest = folder / f"manifest-{length:g}"
            cost = extract(manifest, folder, folder / f"store-{length:g}", 1)
            rows.append(
                {
                    "minutes": length,
                    "seconds": round(cost.seconds, 1),
                    "processor seconds": round(cost.processor_s, 1),
                    "times real time": round(60 * length / cost.seconds, 1),
                    "by processor time": round(60 * length / cost.processor_s, 1),
                    # in a short recording, the start counts more
                    "aim": aim("times real time", at_least=20.0) if length >= 22 else None,
                    "decoder and landmarker alone": round(reference[0], 1),
                    "of it by processor time": round(reference[1], 1),
                    "peak memory, MiB": round(cost.memory_mib),
                }
            )
    return rows


def compare_workers(videos: list[Path], rounds: int) -> list[dict[str, Any]]:
    """Extract every frame of all clips with one and with two workers, in turns."""
    costs: dict[int, list[Cost]] = {1: [], 2: []}
    first: list[float] = []
    rate = f"face.frames_per_second={VIDEO_RATE}"
    root = Path(os.path.commonpath([video.parent for video in videos]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sessions(videos, root, folder / "manifest")
        write_sessions(videos[:1], root, folder / "first")
        for turn in range(rounds):
            cost = extract(folder / "first", root, folder / f"first-{turn}", 1, rate)
            first.append(cost.seconds)
            for workers in (1, 2):
                store = folder / f"store-{turn}-{workers}"
                cost = extract(folder / "manifest", root, store, workers, rate)
                costs[workers].append(cost)
                print(f"{workers}: {cost}")
    clocks = {n: np.array([cost.seconds for cost in costs[n]]) for n in (1, 2)}
    processor = {n: statistics.median(cost.processor_s for cost in costs[n]) for n in (1, 2)}
    start = estimate_start(len(videos), float(np.median(clocks[1])), statistics.median(first))
    return [
        {
            "clips": len(videos),
            "one worker, s": round(float(np.median(clocks[1])), 1),
            "processor s": round(processor[1], 1),
            "two workers, s": round(float(np.median(clocks[2])), 1),
            "processor s of both": round(processor[2], 1),
            "ratio": ratio(clocks[1], clocks[2]),
            "aim": aim(at_least=1.8),
            "start, s": round(start, 2),
            "peak memory of a process, MiB": round(
                max(cost.memory_mib for n in (1, 2) for cost in costs[n])
            ),
        }
    ]


def estimate_start(n_clips: int, all_s: float, first_s: float) -> float:
    """Estimate the seconds that a command would take without a clip.

    Parameters
    ----------
    n_clips : int
        Number of clips, of about the same length; two or more.
    all_s, first_s : float
        Seconds for all clips, and for one of them.

    Returns
    -------
    float
        Seconds.
    """
    return (n_clips * first_s - all_s) / (n_clips - 1)


def use_one_core() -> None:
    """Let this process and its children use one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)


def timed(function: Callable[[], object]) -> Timing:
    """Time a call."""
    start, start_cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - start_cpu


def sample_faces(videos: list[Path]) -> Iterator[np.ndarray]:
    """Sample five frames per second of all videos, at 853 x 480 pixels."""
    for video in videos:
        for _, frame in decode_frames(video, FaceExtraction().frames_per_second):
            yield cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def open_landmarker() -> Any:
    """Open MediaPipe's landmarker with all outputs that are stored."""
    from mediapipe.tasks.python import BaseOptions, vision

    confidence = FaceExtraction().min_confidence
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(find_landmarker())),
        num_faces=MAX_FACES,
        min_face_detection_confidence=confidence,
        min_face_presence_confidence=confidence,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    with suppress_mediapipe_log():
        landmarker = vision.FaceLandmarker.create_from_options(options)
        landmarker.detect(mediapipe_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    return landmarker


def landmarker_alone(landmarker: Any, frames: list[np.ndarray]) -> None:
    """Run MediaPipe's landmarker on frames."""
    for frame in frames:
        landmarker.detect(mediapipe_image(frame))


def tracker_alone(tracker: FaceTracker, frames: list[np.ndarray]) -> None:
    """Run the tracker on frames."""
    for frame in frames:
        tracker.track(0.0, frame)


def mediapipe_image(frame: np.ndarray) -> Any:
    """Copy a frame into an image of MediaPipe."""
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)


def reference_speed(recording: Path, seconds: float) -> Timing:
    """Decode the start of a recording and run the landmarker alone; return times real time."""
    landmarker = open_landmarker()
    rate = FaceExtraction().frames_per_second

    def work() -> None:
        for _ in decode_audio(recording, 0.0, seconds):
            pass
        for _, frame in read_frames(recording, rate, [(0.0, seconds)]):
            landmarker.detect(mediapipe_image(frame.to_rgb()))

    timing = timed(work)
    landmarker.close()
    return seconds / timing[0], seconds / timing[1]


def join_clips(videos: list[Path], path: Path) -> Path:
    """Join the pictures of clips to one H.264 video of 360 x 288 pixels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=VIDEO_RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 360, 288, "yuv420p"
        stream.codec_context.max_b_frames = 0  # a copy of the packets then begins at time 0
        count = itertools.count()
        for video in videos:
            with av.open(str(video)) as clip:
                for frame in clip.decode(video=0):
                    picture = frame.reformat(360, 288, "yuv420p")
                    picture.pts, picture.time_base = next(count), Fraction(1, VIDEO_RATE)
                    picture.pict_type = 0
                    container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def write_interview(clips: Path, path: Path, minutes: float) -> Path:
    """Repeat the packets of the joined clips, with noise that grows and fades as sound."""
    n_frames = round(60 * minutes * VIDEO_RATE)
    rng = np.random.default_rng(0)
    with av.open(str(clips)) as source, av.open(str(path), "w") as target:
        template = source.streams.video[0]
        video = target.add_stream_from_template(template)
        sound = target.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        tick = round(1 / (VIDEO_RATE * template.time_base))
        written = 0
        while written < n_frames:
            offset = written * tick
            source.seek(0)
            for packet in source.demux(template):
                if packet.size == 0 or written >= n_frames:
                    continue
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = video
                target.mux(packet)
                if written % VIDEO_RATE == 0:
                    target.mux(sound.encode(sound_of_second(rng, written // VIDEO_RATE)))
                written += 1
        target.mux(sound.encode(None))
    return path


def sound_of_second(rng: np.random.Generator, second: int) -> Any:
    """Make a second of noise that is loud in four of five seconds."""
    level = 0.1 if second % 5 else 0.0005
    noise = (level * rng.standard_normal((1, SAMPLE_RATE))).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
    frame.rate, frame.pts = SAMPLE_RATE, second * SAMPLE_RATE
    return frame


def write_one_session(recording: Path, folder: Path) -> None:
    """Write the manifest of one recording that is one step."""
    write_sessions([recording], recording.parent, folder)


def write_sessions(videos: Iterable[Path], root: Path, folder: Path) -> None:
    """Write a manifest with one session and one step per video."""
    keys = [
        {"corpus": "c", "subject": f"p{index}", "session": f"s{index}"}
        for index, _ in enumerate(videos)
    ]
    steps = [
        {
            **key, "step": 0, "start_s": 0.0, "audio": str(video.relative_to(root)),
            "face": str(video.relative_to(root)), "face_aligned": False,
        }
        for key, video in zip(keys, videos, strict=True)
    ]  # fmt: skip
    write_manifest(build_manifest(pd.DataFrame(keys), pd.DataFrame(steps)), folder)


def extract(manifest: Path, root: Path, store: Path, workers: int, *settings: str) -> Cost:
    """Run ``depmm extract`` and measure it."""
    options = ("--out", store, "--workers", workers)
    return measure_depmm("extract", manifest, root, *options, *settings)


if __name__ == "__main__":
    main()

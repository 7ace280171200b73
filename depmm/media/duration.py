"""Duration of recordings and feature files."""

from pathlib import Path

import av
import soundfile

from depmm.config import StreamConfig
from depmm.media.container import check_file, open_container
from depmm.media.errors import MediaError
from depmm.media.feature_files import feature_duration_s


def duration_s(path: Path, stream: StreamConfig | None = None, allow_pickle: bool = False) -> float:
    """Measure the duration of a recording or a feature file.

    A table of features is read completely. For a recording, the duration in its header is
    returned; extraction checks it later.

    Parameters
    ----------
    path : Path
        The file.
    stream : StreamConfig, optional
        How the features are read. None for a recording.
    allow_pickle : bool, default False
        Whether a pickled ``.npy`` is read, which runs code from the file. Use it only for files
        from a source that you trust.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    MediaError
        If the file is unreadable or does not state its duration.
    """
    if stream is not None:
        return feature_duration_s(path, stream, allow_pickle)
    check_file(path)
    if path.suffix.lower() in (".wav", ".flac"):
        try:
            return float(soundfile.info(path).duration)
        except soundfile.LibsndfileError:
            pass  # codec unknown to libsndfile: try FFmpeg
    with open_container(path) as container:
        if not container.duration:
            raise MediaError(path, "the file does not state its duration.", "Re-encode it.")
        return float(container.duration / av.time_base)

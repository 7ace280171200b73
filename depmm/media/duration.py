"""How long a file is, from its head where that says so."""

from pathlib import Path

import av
import soundfile

from depmm.config import StreamConfig
from depmm.media import feature_files as features
from depmm.media.errors import MediaError
from depmm.media.video import check_file, open_container


def duration_s(path: Path, stream: StreamConfig | None = None, allow_pickle: bool = False) -> float:
    """Measure a recording, or a file of features, in seconds.

    A table of features is read whole; a recording only says what its head promises, which
    extraction checks.

    Parameters
    ----------
    path : the file
    stream : how features are read; None for a recording
    allow_pickle : run the code inside a pickled ``.npy``; only for files whose makers you trust

    Raises
    ------
    MediaError : unreadable, or without a length
    """
    if stream is not None:
        return features.duration_s(path, stream, allow_pickle)
    check_file(path)
    if path.suffix.lower() in (".wav", ".flac"):
        try:
            return float(soundfile.info(path).duration)
        except soundfile.LibsndfileError:
            pass  # FFmpeg may know the codec
    with open_container(path) as container:
        if not container.duration:
            raise MediaError(path, "does not say how long it is. Re-encode it.")
        return float(container.duration / av.time_base)

"""Compute the contours of the voice of many sessions before they are read."""

from collections.abc import Sequence

from depmm.store.failures import SessionKey
from depmm.store.session_tasks import SessionTask, run_tasks
from depmm.store.sessions import SessionStore
from depmm.store.voice_stream import VOICE, is_voice, voice_folder
from depmm.store.worker_pool import Progress


def store_voice(store: SessionStore, keys: Sequence[SessionKey], workers: int = 0) -> int:
    """Compute and store the stream ``voice`` of the sessions that do not have it yet.

    The contours of a session that was extracted again since are computed when it is read.

    Parameters
    ----------
    store : SessionStore
        The sessions.
    keys : sequence of tuple of str
        Corpus, subject and session id of each.
    workers : int, default 0
        Number of processes that compute; 0: this process.

    Returns
    -------
    int
        Number of sessions whose contours were computed.

    Raises
    ------
    StoreError
        If a session is not in the store, its file is damaged, or the store cannot be written.
    """
    files = SessionStore(voice_folder(store.url), store.settings)
    missing = [key for key in keys if not files.has(*key)]
    return sum(done for _, done in run_tasks(_store_session, store, missing, VOICE, workers))


def _store_session(task: SessionTask, progress: Progress) -> bool:
    with task.open_store().read(*task.key) as reader:
        if not is_voice(VOICE, reader.names):  # no sound, or the corpus has a stream of this name
            return False
        reader.read_features(VOICE, 0, 0)  # stores all rows
    return True

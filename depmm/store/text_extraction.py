"""The text of the steps of a session, from the manifest to the session file."""

import numpy as np

from depmm.store.session_job import SessionJob
from depmm.store.session_writer import SessionWriter


def store_text(job: SessionJob, writer: SessionWriter) -> int:
    """Store what the participant says or reads in each step.

    The steps of a manifest are the turns of the participant, so that the words of an interviewer
    are not part of their text; see ``SessionJob.steps`` for corpora in which they may be.

    Parameters
    ----------
    job : SessionJob
        The session.
    writer : SessionWriter
        Receives ``text.utf8`` and ``text.offset``, unless no step has a text.

    Returns
    -------
    int
        Number of steps with a text. A text of white space is none.
    """
    texts = [(step["text"] or "").strip().encode() for step in job.steps]
    n_steps_with_text = sum(bool(text) for text in texts)
    if n_steps_with_text:
        writer.append("text.utf8", np.frombuffer(b"".join(texts), np.uint8))
        writer.append("text.offset", np.cumsum([0, *map(len, texts)], dtype=np.int64))
    return n_steps_with_text

"""Checks of identities: one voice under two ids, and two voices under one id.

The findings are questions. A similar voice may be the same subject, a relative, or the same room
and microphone; a voice that differs may be another subject, another emotion or another device.
"""

from collections.abc import Iterator

from depmm.audit.findings import AuditInput, Finding
from depmm.audit.identity.similarity import divided_subjects, similar_pairs, subject_voices
from depmm.errors import abbreviate
from depmm.schemas.manifest import SUBJECT_KEY

IDENTITY_NAMES = ("similar_subjects", "dissimilar_sessions", "missing_voice")


def similar_subjects(inputs: AuditInput) -> Iterator[Finding]:
    """Find pairs of subject ids with voices that are as similar as those of one subject.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning.
    """
    if inputs.identity is None:
        return
    voices = subject_voices(inputs.identity)
    pairs = similar_pairs(voices)
    if not pairs:
        return
    splits = inputs.manifest.sessions.groupby(SUBJECT_KEY)["split"].agg(
        lambda values: " and ".join(sorted(set(values.dropna())))
    )
    names = []
    across = 0
    for pair in pairs:
        parts = [splits[pair.first], splits[pair.second]]
        across += bool(parts[0] and parts[1] and parts[0] != parts[1])
        names.append(
            " = ".join(
                "/".join(key) + (f" ({part})" if part else "")
                for key, part in zip((pair.first, pair.second), parts, strict=True)
            )
            + f" (similarity {pair.similarity:.2f})"
        )
    yield Finding(
        "similar_subjects",
        "warning",
        f"{len(voices.keys)} subjects: {len(pairs)} pair(s) with voices as similar as two halves "
        f"of one subject, {across} of them in different official splits: {abbreviate(names)}. The "
        "same subject, or the same room and microphone?",
        "Ask who recorded the corpus. If a pair is one subject, give both the same subject id in "
        "the spec; until then, keep them in the same split.",
        subjects=tuple(sorted({key for pair in pairs for key in (pair.first, pair.second)})),
    )


def dissimilar_sessions(inputs: AuditInput) -> Iterator[Finding]:
    """Find subjects whose sessions have two different voices.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning.
    """
    divided = divided_subjects(inputs.identity) if inputs.identity is not None else []
    if not divided:
        return
    names = [
        f"{'/'.join(entry.subject)}: {', '.join(entry.part)} (similarity {entry.similarity:.2f}, "
        f"of other subjects at least {entry.usual:.2f})"
        for entry in divided
    ]
    yield Finding(
        "dissimilar_sessions",
        "warning",
        f"{len(divided)} subject(s) with sessions whose voice differs from their other sessions: "
        f"{abbreviate(names)}. Two subjects, or another room, device or emotion?",
        "Listen to one session of each part, and correct the subject id in the spec if necessary.",
        subjects=tuple(entry.subject for entry in divided),
        sessions=tuple((*entry.subject, name) for entry in divided for name in entry.part),
    )


def missing_voice(inputs: AuditInput) -> Iterator[Finding]:
    """Report the sessions whose voice is not compared one by one.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one piece of information.
    """
    if inputs.identity is None:
        return
    voices = subject_voices(inputs.identity)
    missing = inputs.identity.long_sessions().without_voice
    if missing:
        names = ["/".join(key) for key in missing]
        n_subjects = len(inputs.manifest.sessions[SUBJECT_KEY].drop_duplicates())
        yield Finding(
            "missing_voice",
            "info",
            f"{len(missing)} of {len(inputs.manifest.sessions)} sessions have less than 5 s of "
            "speech that can be read, so that they are not compared one by one: "
            f"{abbreviate(names)}. {len(voices.keys)} of {n_subjects} subjects have at least 10 s "
            "in all sessions together and are compared.",
            "No action is needed.",
            sessions=missing,
        )

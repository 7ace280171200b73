"""Checks of identities: one voice or face under two ids, and two of them under one id.

The findings are questions. A similar voice may be the same subject, a relative, or the same room
and microphone; a voice that differs may be another subject, another emotion or another device.
"""

from collections.abc import Iterator

from depmm.audit.findings import AuditInput, Finding
from depmm.audit.identity.session_embeddings import SessionEmbeddings
from depmm.audit.identity.similarity import divided_subjects, embed_subjects, similar_pairs
from depmm.errors import abbreviate
from depmm.schemas.manifest import SUBJECT_KEY

IDENTITY_NAMES = ("similar_subjects", "dissimilar_sessions", "missing_identity")


def similar_subjects(inputs: AuditInput) -> Iterator[Finding]:
    """Find pairs of subject ids that are as similar as the halves of one subject.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning for voices, and one for faces.
    """
    if not inputs.identity:
        return
    splits = inputs.manifest.sessions.groupby(SUBJECT_KEY)["split"].agg(
        lambda values: " and ".join(sorted(set(values.dropna())))
    )
    for embeddings in inputs.identity:
        subjects = embed_subjects(embeddings)
        pairs = similar_pairs(subjects)
        if not pairs:
            continue
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
        word = embeddings.modality.name
        yield Finding(
            "similar_subjects",
            "warning",
            f"{len(subjects.keys)} subjects: {len(pairs)} pair(s) with {word}s as similar as two "
            f"halves of one subject, {across} of them in different official splits: "
            f"{abbreviate(names)}. The same subject, or the same "
            f"{embeddings.modality.circumstances}?",
            "Ask who recorded the corpus. If a pair is one subject, give both the same subject id "
            "in the spec; until then, keep them in the same split.",
            subjects=tuple(sorted({key for pair in pairs for key in (pair.first, pair.second)})),
        )


def dissimilar_sessions(inputs: AuditInput) -> Iterator[Finding]:
    """Find subjects whose sessions have two different voices or faces.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning for voices, and one for faces.
    """
    for embeddings in inputs.identity:
        divided = divided_subjects(embeddings)
        if not divided:
            continue
        names = [
            f"{'/'.join(entry.subject)}: {', '.join(entry.part)} (similarity "
            f"{entry.similarity:.2f}, of other subjects at least {entry.usual:.2f})"
            for entry in divided
        ]
        word = embeddings.modality.name
        yield Finding(
            "dissimilar_sessions",
            "warning",
            f"{len(divided)} subject(s) with sessions whose {word} differs from their other "
            f"sessions: {abbreviate(names)}. Two subjects, another emotion, or another "
            f"{embeddings.modality.circumstances}?",
            "Look at one session of each part, and correct the subject id in the spec if "
            "necessary.",
            subjects=tuple(entry.subject for entry in divided),
            sessions=tuple((*entry.subject, name) for entry in divided for name in entry.part),
        )


def missing_identity(inputs: AuditInput) -> Iterator[Finding]:
    """Report the sessions that are not compared one by one.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one piece of information for voices, and one for faces.
    """
    for embeddings in inputs.identity:
        missing = embeddings.long_sessions().missing
        if missing:
            yield _missing(inputs, embeddings, missing)


def _missing(
    inputs: AuditInput, embeddings: SessionEmbeddings, missing: tuple[tuple[str, str, str], ...]
) -> Finding:
    names = ["/".join(key) for key in missing]
    sessions = inputs.manifest.sessions
    modality = embeddings.modality
    return Finding(
        "missing_identity",
        "info",
        f"{len(missing)} of {len(sessions)} sessions have less than {modality.per_session:g} "
        f"{modality.unit} that can be read, so that they are not compared one by one: "
        f"{abbreviate(names)}. {len(embed_subjects(embeddings).keys)} of "
        f"{len(sessions[SUBJECT_KEY].drop_duplicates())} subjects have at least "
        f"{modality.per_subject:g} {modality.unit} in all sessions together and are compared.",
        "No action is needed.",
        sessions=missing,
    )

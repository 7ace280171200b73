"""Properties of ids and of names of files that can follow the label.

Folders and names of files often state the class (``patients/``, ``P_017.wav``, ``017_dep.wav``).
The ids of the subject and the session are masked, so that what remains is common to many files.
"""

from pathlib import PurePosixPath

import pandas as pd

from depmm.schemas.manifest import SESSION_KEY

_MASK = "\x00"


def id_properties(sessions: pd.DataFrame) -> pd.DataFrame:
    """Describe the ids of subjects and sessions.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus, subject and session.

    Returns
    -------
    DataFrame
        Index as ``sessions``: ``id_pattern`` (every number is ``#``), ``id_length`` (characters)
        and ``session_id`` (without the id of the subject).
    """
    keys = zip(sessions["subject"], sessions["session"], strict=True)
    return pd.DataFrame(
        {
            "id_pattern": sessions["subject"].str.replace("[0-9]+", "#", regex=True),
            "id_length": sessions["subject"].str.len().astype(float),
            "session_id": pd.Series(
                [mask_id(session, subject).replace(_MASK, "*") for subject, session in keys],
                sessions.index,
                dtype="str",
            ),
        }
    )


def path_properties(uses: pd.DataFrame) -> pd.DataFrame:
    """Describe the paths of the files of each session.

    Parameters
    ----------
    uses : DataFrame
        Columns corpus, subject, session, file and use, as of
        :func:`depmm.audit.findings.list_file_uses`.

    Returns
    -------
    DataFrame
        One row per use: corpus, subject, session, use, ``folder``, ``prefix`` and ``suffix`` of the
        name (what is before and after the ids; without an id, before and after the numbers),
        ``extension``, ``name_length`` and ``digits`` (characters and digits of the name without
        the ids).
    """
    described = [
        _describe(path, subject, session)
        for subject, session, path in zip(
            uses["subject"], uses["session"], uses["file"], strict=True
        )
    ]
    columns = ["folder", "prefix", "suffix", "extension", "name_length", "digits"]
    table = pd.DataFrame(described, columns=columns, index=uses.index)
    return pd.concat([uses[[*SESSION_KEY, "use"]], table], axis=1)


def _describe(path: str, subject: str, session: str) -> tuple[str, str, str, str, float, float]:
    parts = PurePosixPath(path)
    name = parts.name.split(".", 1)[0]
    extension = parts.name[len(name) :].lower()
    masked = mask_id(mask_id(name, session), subject)
    if _MASK in masked:
        prefix, suffix = masked[: masked.index(_MASK)], masked[masked.rindex(_MASK) + 1 :]
    else:
        prefix = _before_number(masked)
        suffix = "" if prefix == masked else _before_number(masked[::-1])[::-1]
    rest = masked.replace(_MASK, "")
    folder = mask_id(mask_id(parts.parent.as_posix(), session), subject).replace(_MASK, "*")
    digits = sum(character.isdigit() for character in rest)
    return folder, prefix, suffix, extension, float(len(rest)), float(digits)


def _before_number(text: str) -> str:
    """Return the part of a text before its first digit; all of it without digits."""
    return text[: next((k for k, character in enumerate(text) if character.isdigit()), len(text))]


def mask_id(text: str, name: str) -> str:
    """Mask an id where it is not a part of a longer number or word.

    Parameters
    ----------
    text : str
        A path.
    name : str
        The id.

    Returns
    -------
    str
        The text with a null character in place of each occurrence.
    """
    pieces, start = [], 0
    while name and (found := text.find(name, start)) >= 0:
        end = found + len(name)
        before, after = text[found - 1 : found], text[end : end + 1]
        if _continues(before, name[0]) or _continues(name[-1], after):
            pieces.append(text[start : found + 1])
            start = found + 1
        else:
            pieces += [text[start:found], _MASK]
            start = end
    return "".join([*pieces, text[start:]])


def _continues(left: str, right: str) -> bool:
    """Whether two neighbouring characters are both digits or both letters."""
    return (left.isdigit() and right.isdigit()) or (left.isalpha() and right.isalpha())

"""Recording files, and the groups of files of a step."""

from dataclasses import dataclass, field

from depmm.corpora.cells import Fields
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_log import IndexLog
from depmm.corpora.patterns import natural_sort_key
from depmm.corpora.spec_schema import Spec
from depmm.corpora.tables.table_files import Origin


@dataclass
class RecordingFile:
    """A file that matches a pattern under ``recordings`` of the spec.

    Attributes
    ----------
    path : str
        Path relative to the corpus root.
    entry : int
        Index of the pattern in ``recordings``.
    captured : dict of str to str or None
        The fields in its path, as written.
    fields : dict of str to str or None
        All fields of the file; joining tables and translating codes adds to them.
    origins : dict of str to Origin
        File and line of the fields from tables; the entry of the empty name is the file itself,
        from whose name all other fields are.
    """

    path: str
    entry: int
    captured: Fields
    fields: Fields
    origins: dict[str, Origin] = field(init=False)

    def __post_init__(self) -> None:
        self.origins = {"": Origin(self.path)}

    def origin(self, name: str) -> Origin:
        """Return the file and line from which a field was read.

        Parameters
        ----------
        name : str
            The field.

        Returns
        -------
        Origin
            A row of a table, or the file itself.
        """
        return self.origins.get(name, self.origins[""])


@dataclass
class FileGroup:
    """Files of a session that were recorded at the same time, at most one per modality.

    A group is one step, or contains the steps of a table, and the windows of them.

    Attributes
    ----------
    session : str
        Session id.
    order : tuple of str
        Values of ``steps.order``.
    fields : dict of str to str or None
        Fields of all files of the group; the first file takes precedence.
    files : dict of str to str
        Modality -> path.
    streams : dict of str to RecordingFile
        Stream -> the file with these features.
    sources : list of RecordingFile
        The files.
    origins : dict of str to Origin
        File and line of the fields; the entry of the empty name is the first file.
    """

    session: str
    order: tuple[str, ...]
    fields: Fields = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    streams: dict[str, RecordingFile] = field(default_factory=dict)
    sources: list[RecordingFile] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)


def group_files(
    spec: Spec, recordings: list[RecordingFile], log: IndexLog
) -> tuple[list[FileGroup], list[tuple[str, str]]]:
    """Group the files that have the same session and values of ``steps.order``.

    If two files of a group provide the same modality, the pattern that is listed first is used.

    Parameters
    ----------
    spec : Spec
        The spec.
    recordings : list of RecordingFile
        Files with subject and session.
    log : IndexLog
        Log of the sessions with two files for one step, which are left out.

    Returns
    -------
    groups : list of FileGroup
        In the order of ``steps.order``.
    superseded : list of tuple of (str, str)
        Path, and the file that is used instead.

    Raises
    ------
    ManifestError
        If a session has two subjects.
    """
    groups: dict[tuple[str, tuple[str, ...]], FileGroup] = {}
    first_files: dict[str, RecordingFile] = {}
    superseded = []
    failed = set()
    for recording in sorted(recordings, key=lambda recording: (recording.entry, recording.path)):
        subject, session = recording.fields["subject"], str(recording.fields["session"])
        other = first_files.setdefault(session, recording)
        if other.fields["subject"] != subject:
            raise ManifestError(
                f"session {session!r} belongs to {other.fields['subject']!r} by {other.path} and "
                f"to {subject!r} by {recording.path}. Put {{subject}} into session: in the spec.",
                file=recording.path,
                subject=subject,
                session=session,
            )
        order = tuple(str(recording.fields[name]) for name in spec.steps.order)
        group = groups.setdefault((session, order), FileGroup(session, order))
        entry = spec.recordings[recording.entry]
        if entry.features is None:
            new: list[str] = [name for name in entry.modalities if name not in group.files]
            group.files.update(dict.fromkeys(new, recording.path))
        else:
            new = [name for name in [entry.features.name] if name not in group.streams]
            group.streams.update(dict.fromkeys(new, recording))
        if not new:
            try:
                _check_copy(recording, group)
            except ManifestError as error:
                if session not in failed:
                    log.add(error, f"session {session}")
                failed.add(session)
                continue
            used = group.files.get(entry.modalities[0], "")
            if entry.features is not None:
                used = group.streams[entry.features.name].path
            superseded.append((recording.path, used))
            continue
        group.sources.append(recording)
        group.origins.setdefault("", Origin(recording.path))
        for name, value in recording.fields.items():
            if group.fields.get(name) is None:
                group.fields[name] = value
                group.origins[name] = recording.origin(name)
    ordered = sorted(
        (group for group in groups.values() if group.session not in failed),
        key=lambda group: [natural_sort_key(value) for value in group.order],
    )
    return ordered, superseded


def _check_copy(recording: RecordingFile, group: FileGroup) -> None:
    """Check a recording that is not used because of a file of the group.

    A copy (same pattern, same fields) is superseded. A file of the same pattern with another value
    of a field is an error: the spec does not use that field.
    """
    for other in group.sources:
        if other.entry == recording.entry and other.captured != recording.captured:
            differ = [
                name for name, value in recording.captured.items() if value != other.captured[name]
            ]
            raise ManifestError(
                f"{other.path} and {recording.path} would be the same step of session "
                f"{group.session!r}; they differ in {', '.join(differ)}. Add that to steps.order "
                "or session: in the spec, or leave one of them out with drop:.",
                setting="steps.order",
                file=recording.path,
                session=group.session,
            )

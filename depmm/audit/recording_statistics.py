"""Statistics of the recordings of a manifest: missing and duplicate files, durations, borders."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from depmm.audit.findings import File, RecordingStatistics, list_file_uses
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import Manifest

Measure = Callable[[Path, bool], tuple[float | None, float | None]]
Track = Callable[[Sequence[File]], Iterable[File]]


def compute_recording_statistics(
    manifests: Sequence[tuple[Manifest, Path]],
    measure: Measure,
    track: Track = iter,
) -> RecordingStatistics:
    """Read every file of one or several manifests.

    The SHA-256 is compared only for files of equal size. Feature files are compared, but not
    decoded.

    Parameters
    ----------
    manifests : sequence of tuple of (Manifest, Path)
        Manifests with the folders of their recordings.
    measure : callable
        Function from a path, and whether it is used as video, to the duration in seconds and the
        share of black border, each None if unknown. It raises ``ValueError`` if the file cannot be
        decoded.
    track : callable, optional
        Wrapper of the iteration over the files that shows the progress.

    Returns
    -------
    RecordingStatistics
        The statistics.

    Raises
    ------
    ManifestError
        If a folder does not exist or contains no file of its manifest.
    """
    paths: dict[File, Path] = {}
    uses: dict[File, set[str]] = defaultdict(set)
    missing: set[File] = set()
    for manifest, root in manifests:
        table = list_file_uses(manifest)[["corpus", "file", "use"]]
        for corpus, path, use in table.itertuples(index=False, name=None):
            uses[corpus, path].add(use)
        listed = set(table[["corpus", "file"]].itertuples(index=False, name=None))
        existing = {file for file in listed if (root / file[1]).is_file()}
        if listed and not existing:
            raise ManifestError(
                f"{root}: none of the {len(listed)} files of the manifest is in this folder, for "
                f"example {min(listed)[1]}.",
                file=root,
                remedy="Give the folder that was given to depmm index.",
            )
        nonempty = {file for file in existing if (root / file[1]).stat().st_size > 0}
        missing |= listed - nonempty
        paths |= {file: root / file[1] for file in nonempty}
    unreadable: dict[File, str] = {}
    durations: dict[File, float] = {}
    borders: dict[File, float] = {}
    for file in track([file for file in sorted(paths) if uses[file] != {"features"}]):
        try:
            duration_s, border = measure(paths[file], "face" in uses[file])
        except ValueError as error:
            # the finding has a remedy for all files
            remedy = getattr(error, "remedy", None) or ""
            unreadable[file] = str(error).removesuffix(remedy).rstrip(". ")
            continue
        if duration_s is not None:
            durations[file] = duration_s
        if border is not None:
            borders[file] = border
    return RecordingStatistics(
        tuple(sorted(missing)), unreadable, _duplicates(paths), durations, borders
    )


def _duplicates(paths: dict[File, Path]) -> tuple[tuple[File, ...], ...]:
    """Group files of the same content."""
    by_size = defaultdict(list)
    for file in sorted(paths):
        by_size[paths[file].stat().st_size].append(file)
    by_content = defaultdict(list)
    for same_size in by_size.values():
        for file in same_size if len(same_size) > 1 else ():
            with paths[file].open("rb") as stream:
                by_content[hashlib.file_digest(stream, "sha256").hexdigest()].append(file)
    return tuple(sorted(tuple(group) for group in by_content.values() if len(group) > 1))

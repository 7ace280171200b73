"""Look at the recordings of a manifest: which are missing, which are the same, what they show."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from depmm.audit.findings import File, RecordingStatistics, list_file_uses
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import Manifest

Look = Callable[[Path, bool], tuple[float | None, float | None]]
Track = Callable[[Sequence[File]], Iterable[File]]


def compute_recording_statistics(
    places: Sequence[tuple[Manifest, Path]],
    look: Look,
    track: Track = iter,
) -> RecordingStatistics:
    """Look at every file of one or several manifests.

    Contents are compared by SHA-256; only files of equal size are read for it. Files of features
    are compared, not decoded.

    Parameters
    ----------
    places : each manifest with the root of its recordings
    look : from a path, and whether it is used as video, to its seconds and share of black border
        (None if unknown); ``ValueError`` if it cannot be decoded
    track : draws progress over the files

    Raises
    ------
    ManifestError : no such folder, or it holds none of the manifest's files
    """
    paths: dict[File, Path] = {}
    kinds: dict[File, set[str]] = defaultdict(set)
    missing: set[File] = set()
    for manifest, root in places:
        uses = list_file_uses(manifest)[["corpus", "file", "use"]].itertuples(
            index=False, name=None
        )
        own = set()
        for corpus, path, use in uses:
            own.add((corpus, path))
            kinds[corpus, path].add(use)
        there = {file for file in own if (root / file[1]).is_file()}
        if own and not there:
            raise ManifestError(
                f"{root}: holds none of {len(own)} files of the manifest, for example "
                f"{min(own)[1]}. Give the folder that was given to depmm index."
            )
        full = {file for file in there if (root / file[1]).stat().st_size > 0}
        missing |= own - full
        paths |= {file: root / file[1] for file in full}
    unreadable: dict[File, str] = {}
    durations: dict[File, float] = {}
    borders: dict[File, float] = {}
    for file in track([file for file in sorted(paths) if kinds[file] != {"features"}]):
        try:
            duration_s, border = look(paths[file], "face" in kinds[file])
        except ValueError as error:
            unreadable[file] = str(error)
            continue
        if duration_s is not None:
            durations[file] = duration_s
        if border is not None:
            borders[file] = border
    return RecordingStatistics(
        tuple(sorted(missing)), unreadable, _duplicates(paths), durations, borders
    )


def _duplicates(paths: dict[File, Path]) -> tuple[tuple[File, ...], ...]:
    sizes = defaultdict(list)
    for file in sorted(paths):
        sizes[paths[file].stat().st_size].append(file)
    contents = defaultdict(list)
    for same_size in sizes.values():
        for file in same_size if len(same_size) > 1 else ():
            with paths[file].open("rb") as stream:
                contents[hashlib.file_digest(stream, "sha256").hexdigest()].append(file)
    return tuple(sorted(tuple(group) for group in contents.values() if len(group) > 1))

"""Planted traps with real recordings: who was recorded, and whether the audit asks about it.

    python experiments/benchmarks/statistics/identity_traps.py FOLDER

The folder has ``emodb_4emo`` (``*/*.wav`` of Emo-DB), ``ravdess_speech`` (``*/*.flac``) and
``grid_10spk`` (one clip of ten people of GRID, two of one). Needs ``depmm download identity``,
``face-identity`` and ``faces``. A trap is found if the finding names the planted subjects and no
others. All traps take about 60 s on one core.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from depmm.audit.audit_folders import audit_folders
from depmm.corpora.manifest import build_manifest, write_manifest
from depmm.media.identity.known_models import FACE_MODEL, VOICE_MODEL
from depmm.media.video.face_landmarker import find_local_landmarker
from depmm.schemas.manifest import SESSION_KEY

PER_SPEAKER = {"emodb": 16, "ravdess": 28}  # sentences
GRID = {  # X is C
    "A": "bbaf2n", "B": "brbk7n", "C": "id2_vcd_swwp2s", "D": "lbax4n", "E": "lbbc2a",
    "F": "lrwp9a", "G": "lwbsza", "X": "pwij3p", "H": "sbia1a", "I": "sbwe5n", "J": "swiz3n",
}  # fmt: skip
MIDDLE_S = 1.5  # of a clip of GRID


@dataclass(frozen=True)
class IdentityTrap:
    """A trap with real recordings.

    Attributes
    ----------
    name : str
        Name for the output.
    steps : callable
        Returns the steps of a corpus, from the folder of the recordings.
    finding : str
        Name of the finding.
    subjects : tuple of str
        Subjects that it names; empty for a corpus without an error.
    modality : str
        ``audio`` or ``face``: column of the recordings.
    """

    name: str
    steps: Callable[[Path], pd.DataFrame]
    finding: str
    subjects: tuple[str, ...]
    modality: str = "audio"

    @property
    def missing(self) -> str | None:
        """What is not on this computer, or None."""
        if self.modality == "audio":
            return None if VOICE_MODEL.available else VOICE_MODEL.command
        if not FACE_MODEL.available:
            return FACE_MODEL.command
        return None if find_local_landmarker() else "depmm download faces"


def speech(folder: Path, corpus: str) -> pd.DataFrame:
    """List sentences of every speaker in two sessions with mixed emotions."""
    pattern, part = (
        ("*/*.wav", "emodb_4emo") if corpus == "emodb" else ("*/*.flac", "ravdess_speech")
    )
    files = sorted((folder / part).glob(pattern))
    paths = [str(file.relative_to(folder)) for file in files]
    names = [f.name[:2] if corpus == "emodb" else f.stem.split("-")[6] for f in files]
    table = pd.DataFrame({"corpus": corpus, "subject": names, "audio": paths})
    table = table.groupby("subject", group_keys=False).sample(PER_SPEAKER[corpus], random_state=1)
    order = table.groupby("subject").cumcount()
    return table.assign(session=(order % 2).astype(str), step=order // 2, start_s=0.0, end_s=None)


def plant_second_id(folder: Path) -> pd.DataFrame:
    """Give the second session of a speaker of Emo-DB another id."""
    table = speech(folder, "emodb")
    moved = (table["subject"] == "11") & (table["session"] == "1")
    return table.assign(subject=table["subject"].mask(moved, "99"))


def plant_second_corpus(folder: Path) -> pd.DataFrame:
    """Put the second session of a speaker of Emo-DB into RAVDESS, too."""
    table = plant_second_id(folder)
    joined = pd.concat([table, speech(folder, "ravdess")], ignore_index=True)
    moved = joined["subject"] == "99"
    return joined.assign(corpus=joined["corpus"].mask(moved, "ravdess"))


def plant_two_speakers(folder: Path) -> pd.DataFrame:
    """Give two men of RAVDESS one id."""
    table = speech(folder, "ravdess")
    table = table[~((table["subject"] == "03") & (table["session"] == "0"))]
    table = table[~((table["subject"] == "05") & (table["session"] == "1"))]
    return table.assign(subject=table["subject"].replace("05", "03"))


def faces(_: Path) -> pd.DataFrame:
    """List the two halves of a clip of each person of GRID as two sessions."""
    rows = [
        {"corpus": "grid", "subject": subject, "session": session, "step": 0, "start_s": start,
         "end_s": end, "face": f"grid_10spk/{file}.mpg"}
        for subject, file in GRID.items()
        for session, start, end in (("0", 0.0, MIDDLE_S), ("1", MIDDLE_S, None))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def plant_no_face(folder: Path) -> pd.DataFrame:
    """Leave out the second clip of the person with two ids."""
    table = faces(folder)
    return table[table["subject"] != "X"]


def plant_two_faces(folder: Path) -> pd.DataFrame:
    """Give two men of GRID one id."""
    table = plant_no_face(folder)
    table = table[~((table["subject"] == "D") & (table["session"] == "1"))]
    table = table[~((table["subject"] == "I") & (table["session"] == "0"))]
    return table.assign(subject=table["subject"].replace("I", "D"))


TRAPS = (
    IdentityTrap("voice with two ids", plant_second_id, "similar_subjects", ("11", "99")),
    IdentityTrap("voice in two corpora", plant_second_corpus, "similar_subjects", ("11", "99")),
    IdentityTrap("two voices with one id", plant_two_speakers, "dissimilar_sessions", ("03",)),
    IdentityTrap("face with two ids", faces, "similar_subjects", ("C", "X"), "face"),
    IdentityTrap("two faces with one id", plant_two_faces, "dissimilar_sessions", ("D",), "face"),
)
CLEAN = (
    IdentityTrap("clean: Emo-DB", lambda folder: speech(folder, "emodb"), "", ()),
    IdentityTrap("clean: RAVDESS", lambda folder: speech(folder, "ravdess"), "", ()),
    IdentityTrap("clean: GRID", plant_no_face, "", (), "face"),
)


def reported_identities(trap: IdentityTrap, data: Path, folder: Path) -> dict[str, tuple[str, ...]]:
    """Write the manifests, audit them, and return the subjects of each finding about identity."""
    steps = trap.steps(data).assign(face_aligned=False)
    manifests = []
    for corpus, part in steps.groupby("corpus"):
        sessions = part[SESSION_KEY].drop_duplicates().assign(label=None)
        manifests.append(folder / str(corpus))
        write_manifest(build_manifest(sessions, part), manifests[-1])
    audit = audit_folders(manifests, [data] * len(manifests), out=folder / "audit", identity=True)
    return {
        finding.name: tuple(subject for _, subject in finding.subjects)
        for finding in audit.findings
        if finding.name in ("similar_subjects", "dissimilar_sessions")
    }


def main(data: Path) -> None:
    """Print one line per trap."""
    began = time.perf_counter()
    for trap in (*TRAPS, *CLEAN):
        if trap.missing:
            print(f"skipped {trap.name}: run {trap.missing}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            findings = reported_identities(trap, data.resolve(), Path(folder))
        expected = {trap.finding: trap.subjects} if trap.subjects else {}
        print(
            f"{'found ' if findings == expected else 'MISSED'} {trap.name}: {findings}", flush=True
        )
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

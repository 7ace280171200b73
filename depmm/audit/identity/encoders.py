"""Load the models that the comparison of identities needs, and embed the sessions with them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from depmm.audit.identity.compute_embeddings import compute_session_embeddings
from depmm.audit.identity.face_source import FaceSource
from depmm.audit.identity.session_embeddings import SessionEmbeddings
from depmm.audit.identity.voice_source import VoiceSource
from depmm.config.extraction import FaceExtraction
from depmm.corpora.manifest import Manifest
from depmm.media.identity.face_encoder import FaceEncoder
from depmm.media.identity.face_model import load_face_encoder
from depmm.media.identity.known_models import FACE_MODEL, VOICE_MODEL
from depmm.media.identity.speaker_encoder import SpeakerEncoder
from depmm.media.identity.voice_model import load_speaker_encoder
from depmm.media.video.face_landmarker import find_local_landmarker
from depmm.media.video.faces import FaceTracker


@dataclass(frozen=True)
class IdentityEncoders:
    """The models of voices and faces.

    Attributes
    ----------
    voice : SpeakerEncoder or None
        None if voices are not compared.
    face : FaceEncoder or None
        None if faces are not compared.
    landmarker : Path or None
        The MediaPipe face model.
    not_compared : dict of str to str
        ``voices`` or ``faces`` that the manifests have and that are not compared, and why.
    """

    voice: SpeakerEncoder | None = None
    face: FaceEncoder | None = None
    landmarker: Path | None = None
    not_compared: dict[str, str] = field(default_factory=dict)

    def embed(self, manifests: Sequence[tuple[Manifest, Path]]) -> tuple[SessionEmbeddings, ...]:
        """Embed the sessions.

        Parameters
        ----------
        manifests : sequence of tuple of (Manifest, Path)
            Manifests with the folders of their recordings.

        Returns
        -------
        tuple of SessionEmbeddings
            Voices and faces, as far as they are compared.
        """
        results = []
        if self.voice is not None:
            results.append(compute_session_embeddings(manifests, VoiceSource(self.voice)))
        if self.face is not None and self.landmarker is not None:
            with FaceTracker(self.landmarker, FaceExtraction().min_confidence) as tracker:
                source = FaceSource(self.face, tracker)
                results.append(compute_session_embeddings(manifests, source))
        return tuple(results)


def load_identity_encoders(manifests: Sequence[Manifest]) -> IdentityEncoders:
    """Load the models of what the manifests have.

    Parameters
    ----------
    manifests : sequence of Manifest
        The manifests.

    Returns
    -------
    IdentityEncoders
        The models. One that is not on this computer is left out, if there is another.

    Raises
    ------
    MediaError
        If no model is on this computer, or one is damaged.
    """
    voice = face = landmarker = None
    not_compared = {}
    has_sound, has_face = (
        any(manifest.steps[column].notna().any() for manifest in manifests)
        for column in ("audio", "face")
    )
    if has_sound and VOICE_MODEL.available:
        voice = load_speaker_encoder()
    elif has_sound:
        not_compared["voices"] = f"run {VOICE_MODEL.command}"
    if has_face:
        landmarker = find_local_landmarker()
        if not FACE_MODEL.available:
            not_compared["faces"] = f"run {FACE_MODEL.command}"
        elif landmarker is None:
            not_compared["faces"] = "run depmm download faces"
        else:
            face = load_face_encoder()
    if voice is None and face is None:
        if has_sound or not has_face:
            voice = load_speaker_encoder()  # raises the error that names the remedy
        elif landmarker is not None or not FACE_MODEL.available:
            face = load_face_encoder()
    return IdentityEncoders(voice, face, landmarker, not_compared)

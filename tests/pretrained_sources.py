"""A tiny source for each encoder of a config that is a pre-trained model."""

from pathlib import Path

from speech_sources import write_source
from text_sources import write_text_source
from vision_sources import write_vision_source

from depmm.config import Config


def write_clip_source(folder: Path) -> str:
    """Write a model of clips of two frames."""
    return write_vision_source(folder, "videomae", num_frames=2)


WRITERS = {
    "speech_transformer": write_source,
    "image_transformer": write_vision_source,
    "video_transformer": write_clip_source,
    "text_transformer": write_text_source,
}


def write_sources(config: Config, folder: Path) -> list[str]:
    """Write the sources, and return the overrides with which the config uses them."""
    return [
        f"model.encoders.{name}.source={WRITERS[encoder.kind](folder / name)}"
        for name, encoder in config.model.encoders.items()
        if encoder.kind in WRITERS
    ]

"""Table of the statistics of recordings, which the audit measures."""

from depmm.schemas.manifest import CORPUS
from depmm.schemas.table import Column, TableSchema

FILE_KEY = ["corpus", "file"]


def _number(name: str, meaning: str, unit: str | None = None) -> Column:
    return Column(name, "float64", meaning, unit=unit, nullable=True)


def _text(name: str, meaning: str) -> Column:
    return Column(name, "str", meaning, nullable=True)


RECORDINGS = TableSchema(
    "recordings.parquet",
    "One recording of a manifest that could be decoded.",
    (
        CORPUS,
        Column("file", "str", "Path of the recording, relative to the root of its corpus"),
        _text("container", "Format of the file, FFmpeg's name"),
        _text("audio_codec", "Codec of the sound track that is used, FFmpeg's name"),
        _number("sample_rate", "Sample rate of the sound track", "Hz"),
        _number("channels", "Number of channels of the sound track"),
        _number("bit_depth", "Bits of a sample; missing for lossy codecs", "bit"),
        _number("bit_rate", "Size of the file divided by its length", "bit/s"),
        _number("length_s", "Length of the recording", "s"),
        _number("rms_db", "Level of the whole sound re full scale", "dB"),
        _number("peak_db", "Largest absolute sample re full scale", "dB"),
        _number("noise_floor_db", "10th percentile of the levels of frames of 25 ms", "dB"),
        _number("snr_db", "95th percentile of these levels minus the 10th", "dB"),
        _number("dc_offset", "Mean of the samples; full scale is 1"),
        _number("clipped_share", "Share of samples in runs at the largest absolute value"),
        _number("bandwidth_hz", "Frequency above which the spectrum of the sound ends", "Hz"),
        _number("hum_db", "Tones at multiples of 50 or 60 Hz re their neighbourhood", "dB"),
        _number("leading_silence_s", "Time before the first frame of sound", "s"),
        _text("video_codec", "Codec of the video track, FFmpeg's name"),
        _number("width", "Width of the frames as stored", "pixel"),
        _number("height", "Height of the frames as stored", "pixel"),
        _number("frame_rate", "Average frame rate of the video", "1/s"),
        _number("brightness", "Mean luma of sampled frames, 0 to 1"),
        _number("contrast", "Standard deviation of the luma of a frame, 0 to 0.5"),
        _number("black_border", "Share of the frame area that is black border"),
        _number("face_share", "Share of sampled frames with a face"),
        _number("face_x", "Centre of the face from the left edge, in widths of the frame"),
        _number("face_y", "Centre of the face from the upper edge, in heights of the frame"),
        _number("face_size", "Height of the face, in heights of the frame"),
    ),
)
FACE_COLUMNS = ("face_share", "face_x", "face_y", "face_size")

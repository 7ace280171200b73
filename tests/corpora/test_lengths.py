"""Where the windows of files that were recorded at the same time end."""

import pytest

from depmm.corpora.corpus_facts import Windows
from depmm.corpora.lengths import FileLength, combine_lengths
from depmm.corpora.windows import cut_into_windows

FOUR = Windows(length_s=4.0)


def recording(seconds: float) -> FileLength:
    return FileLength(f"{seconds}.wav", seconds, None)


def features(seconds: float, rate_hz: float = 30.0) -> FileLength:
    return FileLength(f"{seconds}.csv", seconds, 1 / rate_hz)


@pytest.mark.parametrize(
    ("files", "ends", "excluded"),
    [
        # features never shorten the sound
        ([recording(20), features(2)], [4, 8, 12, 16, 20], ["2.csv"]),
        ([recording(20), features(19.97)], [4, 8, 12, 16, 20], []),
        # the longest recording counts
        ([recording(20), recording(10)], [4, 8, 12, 16, 20], ["10.wav"]),
        # no window starts where a file has just ended
        ([recording(20.3), recording(20)], [4, 8, 12, 16, 20.3], []),
        ([recording(20.3), features(19.9)], [4, 8, 12, 16, 20.3], []),
        ([recording(20.9), features(20, 1.0)], [4, 8, 12, 16, 20.9], []),
        ([recording(21), recording(20)], [4, 8, 12, 16, 20, 21], ["20.wav"]),
        # rows after the end of the recording are in no step
        ([recording(10), features(40)], [4, 8, 10], ["40.csv"]),
        # only features
        ([features(92, 1.0), features(90, 1.0)], [*range(4, 89, 4), 90], ["92.csv"]),
        ([features(20), features(2)], [4, 8, 12, 16, 20], ["2.csv"]),
        ([features(20), features(19.8), features(2)], [4, 8, 12, 16, 19.8], ["20.csv", "2.csv"]),
    ],
)
def test_windows_follow_the_recordings(files, ends, excluded):
    length = combine_lengths(files, FOUR)
    windows = list(cut_into_windows(0.0, length.end_s, FOUR, length.remainder_s))
    assert [end for _, end in windows] == pytest.approx(ends)
    assert [path for path, _ in length.excluded] == excluded


def test_short_windows_do_not_take_a_long_remainder():
    second = Windows(length_s=0.2)
    length = combine_lengths([recording(20.4), recording(20)], second)
    windows = list(cut_into_windows(0.0, length.end_s, second, length.remainder_s))
    assert len(windows) == 102
    assert windows[-1][1] == pytest.approx(20.4)

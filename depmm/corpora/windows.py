"""Windows inside steps: cut files, table rows and turns into parts of equal length."""

from collections.abc import Iterator

from depmm.corpora.corpus_facts import Windows
from depmm.corpora.spec_schema import Spec

# seconds by which the length by the packets may exceed the decoded length; a window that is not
# longer would be empty
MIN_REMAINDER_S = 0.1
# sums of seconds are rounded, so that the end of a window equals the start of the next one, and the
# time of a row at it; otherwise a row would be in none of them or in both
DECIMALS, ROUNDING_S = 9, 1e-6


def cut_into_windows(
    start_s: float, end_s: float, windows: Windows, remainder_s: float = MIN_REMAINDER_S
) -> Iterator[tuple[float, float]]:
    """Cut an interval into windows, so that every second of it is in a window.

    The last window is shorter than the others if necessary. A remainder of at most ``remainder_s``
    belongs to the window before it. Only if the hop is larger than the length
    are there gaps between windows.

    Parameters
    ----------
    start_s, end_s : float
        The interval, in seconds from the start of the recording.
    windows : Windows
        Length and hop.
    remainder_s : float, default 0.1
        Longest remainder in seconds that is no window.

    Yields
    ------
    start_s, end_s : float
        Start and end of each window, in order; at least one window.
    """
    index, start = 0, start_s
    # the rounding of sums must not decide whether a remainder is as long as remainder_s
    limit = end_s - remainder_s - ROUNDING_S
    while start + windows.length_s < limit:
        yield start, round(start + windows.length_s, DECIMALS)
        index += 1
        start = round(start_s + index * windows.effective_hop_s, DECIMALS)
        if start >= limit:  # the remainder is in a gap
            return
    yield start, end_s


def with_windows(spec: Spec, length_s: float, hop_s: float | None = None) -> Spec:
    """Copy a spec such that its steps are cut into other windows.

    Parameters
    ----------
    spec : Spec
        The spec.
    length_s : float
        Length of the windows in seconds; 0 for no windows.
    hop_s : float, optional
        Seconds from the start of a window to the start of the next, by default the length.

    Returns
    -------
    Spec
        The changed copy.
    """
    windows = Windows(length_s=length_s, hop_s=hop_s) if length_s else None
    steps = spec.steps.model_copy(update={"windows": windows})
    return spec.model_copy(update={"steps": steps})

"""Checks of the rows of a feature file that need the whole file: times, validity, constant values.

All of them use constant memory. Rows that are in a wrong place or belong to several faces are an
error; properties that only reduce the use of a file are warnings.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from depmm.config import StreamConfig
from depmm.media.errors import MediaError
from depmm.media.features.file_content import describe_content
from depmm.media.features.id_columns import IdColumns
from depmm.media.warnings import MediaWarning, Warn

# seconds per row against 1 / rate_hz: beyond, the unit of the times is wrong
MAX_RATE_FACTOR = 5.0
MAX_RATE_DIFFERENCE = 0.1  # share by which the rate of a file may differ from rate_hz
MAX_EXTRA_ROWS = 0.05  # share of rows beyond those that fit the times at rate_hz
REGULAR = 0.2  # share of the period by which regular times may differ from it
MAX_STALLED_S = 2.0  # seconds of rows at rate_hz that may have one time
MIN_GAP_S, MIN_GAP_SHARE = 1.0, 0.01  # of holes in the times, together
MIN_CONSTANT_ROWS = 10
MIN_VALID_SHARE = 0.5  # of the rows
MIN_INFINITE, MIN_INFINITE_SHARE = 10, 0.01  # values of a column; COVAREP has some -inf


@dataclass
class _Clock:
    """Statistics of the times of a file.

    Attributes
    ----------
    first, last : float
        Seconds of the first and the last row.
    n_repeats, n_regular, n_negative : int
        Rows with the time of the row above, rows about one period after it, and rows before the
        start of the recording.
    run, longest_run : int
        Repeats up to the last row, and the largest number of them.
    hole_s, longest_hole_s : float
        Seconds without rows, together and at most.
    n_holes : int
        Number of holes.
    """

    first: float = math.nan
    last: float = math.nan
    n_repeats: int = 0
    n_regular: int = 0
    n_negative: int = 0
    run: int = 0
    longest_run: int = 0
    hole_s: float = 0.0
    longest_hole_s: float = 0.0
    n_holes: int = 0
    _usual_s: float = math.nan  # the usual difference of times that differ

    def add(self, times: np.ndarray, period_s: float) -> None:
        """Add the times of a block, shape (T,), in ascending order."""
        if math.isnan(self.first):
            self.first = self.last = float(times[0])
            steps = np.diff(times)
        else:
            steps = np.diff(times, prepend=self.last)
        self.last = float(times[-1])
        self.n_negative += int(np.count_nonzero(times < 0))
        rising = steps > 0
        self.n_repeats += len(steps) - int(np.count_nonzero(rising))
        self.n_regular += int(np.count_nonzero(np.abs(steps / period_s - 1) < REGULAR))
        self._add_runs(rising)
        if math.isnan(self._usual_s) and rising.any():
            self._usual_s = max(period_s, float(np.median(steps[rising])))
        if not math.isnan(self._usual_s):
            holes = steps[steps > max(3 * self._usual_s, MIN_GAP_S / 2)]
            if len(holes):
                self.n_holes += len(holes)
                self.hole_s += float(holes.sum()) - len(holes) * self._usual_s
                self.longest_hole_s = max(self.longest_hole_s, float(holes.max()))

    def _add_runs(self, rising: np.ndarray) -> None:
        positions = np.flatnonzero(rising)
        if len(positions) == 0:
            self.run += len(rising)
        else:
            inner = np.diff(positions) - 1
            longest = int(inner.max()) if len(inner) else 0
            self.longest_run = max(self.longest_run, self.run + int(positions[0]), longest)
            self.run = len(rising) - 1 - int(positions[-1])
        self.longest_run = max(self.longest_run, self.run)

    @property
    def covered_s(self) -> float:
        """Seconds from the first to the last row without the holes."""
        return self.last - self.first - self.hole_s


@dataclass
class FeatureChecks:
    """Properties of a feature file, collected while it is read.

    Attributes
    ----------
    path : Path
        The file.
    stream : StreamConfig
        How it is read.
    n_rows : int
        Rows so far.
    ids : IdColumns
        The columns that may tell apart several rows of one time.
    """

    path: Path
    stream: StreamConfig
    n_rows: int = 0
    ids: IdColumns = field(default_factory=IdColumns)
    _clock: _Clock = field(default_factory=_Clock)
    _n_valid: int = 0
    _infinite: np.ndarray | None = None  # values of each column
    _constant: np.ndarray | None = None  # the first row, as long as all rows are equal

    def add_times(self, times: np.ndarray, rows: np.ndarray | None) -> None:
        """Check and count the times of a block.

        Parameters
        ----------
        times : ndarray of float64, shape (T,)
            Seconds.
        rows : ndarray of int, shape (T,), optional
            Indices of the rows in the file; by default they follow those of the block before.

        Raises
        ------
        MediaError
            If a time is not a number or before that of the row above.
        """
        last = -math.inf if math.isnan(self._clock.last) else self._clock.last
        good = (np.diff(times, prepend=last) >= 0) & np.isfinite(times)
        if not good.all():
            position = int(np.argmin(good))
            row = self.n_rows + position if rows is None else int(rows[position])
            value = float(times[position])
            problem = f"row {row + 1}: the time {value:g} s is not a finite number."
            remedy = "Correct the file, or leave this session out."
            if math.isfinite(value):
                above = times[position - 1] if position else last
                problem = f"row {row + 1}: the time {value:g} s is before {above:g} s, that of the "
                problem += "row above."
                remedy = f"{self.ids.several_ids_hint()} {remedy}".strip()
            raise MediaError(
                self.path, problem, remedy, column=self.stream.time, value=times[position]
            )
        self._clock.add(times, 1 / self.stream.rate_hz)

    def add_values(self, values: np.ndarray) -> np.ndarray:
        """Convert the values of a block and count the valid ones.

        Parameters
        ----------
        values : ndarray, shape (T, F)
            Numbers of any type.

        Returns
        -------
        ndarray of float32, shape (T, F)
            Values that are not finite are NaN.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = np.asarray(values, np.float32)
        if self.n_rows == 0:
            self._infinite = np.zeros(numbers.shape[1], np.int64)
            self._constant = numbers[0]
        self.n_rows += len(numbers)
        if self._constant is not None and not (numbers == self._constant).all():
            self._constant = None
        finite = np.isfinite(numbers)
        if finite.all():
            self._n_valid += len(numbers)
            return numbers
        self._infinite += np.isinf(numbers).sum(0)
        self._n_valid += int(np.count_nonzero(finite.any(1)))
        return np.where(finite, numbers, np.float32(np.nan))

    def finish(self, names: list[str], warn: Warn) -> None:
        """Judge the whole file.

        Parameters
        ----------
        names : list of str
            Names of the features; empty if they are unknown.
        warn : callable
            Receives the warnings.

        Raises
        ------
        MediaError
            If the file has no rows, several rows per time, or times that do not rise or have
            another unit than seconds.
        """
        if not self.n_rows:
            content = describe_content(self.path)
            raise MediaError(
                self.path, f"the file has no rows ({content}).", "Leave this session out."
            )
        self._check_ids(warn)
        if self.stream.time is not None and self.n_rows > 1:
            self._check_rising()
            self._check_repeats(warn)
            self._check_rate(warn)
        self._check_values(names, warn)

    def _check_ids(self, warn: Warn) -> None:
        if found := self.ids.differing(self.n_rows):
            name, n_repeats, known = found
            problem = (
                f"several rows per time: {n_repeats} of {self.n_rows} rows repeat the time of the "
                f"row above with another {name} ({known})."
            )
            raise MediaError(
                self.path, problem, self.ids.selection_hint((name,)), column=name, value=n_repeats
            )
        selected = self.stream.select.column if self.stream.select else None
        if (several := self.ids.several(self.n_rows)) and several[0] != selected:
            name, count, known = several
            problem = f"has rows of {count} different {name} ({known}), one after the other."
            remedy = f"If they are not one face or speaker: {self.ids.selection_hint((name,))}"
            warn(MediaWarning("several_ids", problem, remedy, float(count)))

    def _check_repeats(self, warn: Warn) -> None:
        clock, rate_hz = self._clock, self.stream.rate_hz
        expected = clock.covered_s * rate_hz + 1 + clock.n_holes
        n_times = self.n_rows - clock.n_repeats
        limit = (1 + MAX_EXTRA_ROWS) * expected + 1
        is_regular = clock.n_regular > n_times / 2  # unlike times of words
        if (
            is_regular
            and self.n_rows > limit >= n_times
            and clock.n_repeats > MAX_EXTRA_ROWS * self.n_rows
        ):
            raise MediaError(
                self.path,
                f"several rows per time: {clock.n_repeats} of {self.n_rows} rows repeat the time "
                f"of the row above, and {expected:.0f} rows fit into {clock.covered_s:.3f} s at "
                f"{rate_hz:g} rows per second.",
                self.ids.selection_hint(()),
                column=self.stream.time,
                value=clock.n_repeats,
            )
        # the other times are complete: the repeats are no rounded times
        if is_regular and self.n_rows > expected + 0.5 and n_times > expected - 0.5:
            share = clock.n_repeats / self.n_rows
            problem = f"has {clock.n_repeats} rows with the time of the row above ({share:.2%})."
            remedy = "Both rows are used; remove those that are not right."
            warn(MediaWarning("repeated_times", problem, remedy, share))

    def _check_rising(self) -> None:
        clock, name = self._clock, self.stream.time
        remedy = (
            f"Correct the column, or remove time: {name} from the data spec, so that the rows "
            f"follow at {self.stream.rate_hz:g} per second."
        )
        if clock.first == clock.last:
            raise MediaError(
                self.path,
                f"the times never rise: column {name!r} is {clock.first:g} s in all {self.n_rows} "
                "rows.",
                remedy,
                column=name,
                value=clock.first,
            )
        if clock.longest_run > max(10, MAX_STALLED_S * self.stream.rate_hz):
            raise MediaError(
                self.path,
                f"the times stop rising: {clock.longest_run + 1} rows one after the other have the "
                f"same {name!r}.",
                remedy,
                column=name,
                value=clock.longest_run + 1,
            )

    def _check_rate(self, warn: Warn) -> None:
        clock, rate_hz = self._clock, self.stream.rate_hz
        step_s = clock.covered_s / max(1, self.n_rows - 1 - clock.n_holes)
        factor = step_s * rate_hz
        if not 1 / MAX_RATE_FACTOR < factor < MAX_RATE_FACTOR:
            units = self.stream.units_per_second * factor
            units = 10.0 ** round(math.log10(units)) if units > 300 else float(f"{units:.3g}")
            raise MediaError(
                self.path,
                f"the times of column {self.stream.time!r} advance by {step_s:.6g} s per row, but "
                f"rate_hz is {rate_hz:g} ({1 / rate_hz:.6g} s per row): they are not in seconds, "
                "or the rate is wrong.",
                f"Set units_per_second: {units:g} (1000 for milliseconds, the frame rate for frame "
                f"numbers) or rate_hz: {1 / step_s:.4g} of the stream in the data spec.",
                column=self.stream.time,
                value=step_s,
            )
        if abs(factor - 1) > MAX_RATE_DIFFERENCE:
            problem = f"has {1 / step_s:.4g} rows per second by its times; rate_hz is {rate_hz:g}."
            remedy = "Correct rate_hz: or time: of the stream in the data spec."
            warn(MediaWarning("rate_differs", problem, remedy, 1 / step_s))
        if clock.hole_s > max(MIN_GAP_S, MIN_GAP_SHARE * (clock.last - clock.first)):
            share = clock.hole_s / (clock.last - clock.first)
            problem = (
                f"has {clock.n_holes} holes in its times, {clock.hole_s:.3f} s ({share:.1%}) "
                f"without rows, the longest of {clock.longest_hole_s:.3f} s."
            )
            warn(MediaWarning("gap", problem, "Check how the features were exported.", share))
        if clock.n_negative:
            problem = f"has {clock.n_negative} rows before 0 s, which are in no step."
            remedy = "Check the column of time:, or shift its times."
            warn(MediaWarning("negative_times", problem, remedy, float(clock.n_negative)))

    def _check_values(self, names: list[str], warn: Warn) -> None:
        assert self._infinite is not None
        valid_share = self._n_valid / self.n_rows
        if valid_share < MIN_VALID_SHARE:
            name = "few_valid_rows" if self._n_valid else "no_valid_rows"
            problem = f"has {self._n_valid} valid rows of {self.n_rows} ({valid_share:.0%})."
            remedy = "Check the file and valid: of the stream in the data spec."
            warn(MediaWarning(name, problem, remedy, valid_share))
        if self._constant is not None and self.n_rows >= MIN_CONSTANT_ROWS:
            problem = f"has the same values in all {self.n_rows} rows."
            warn(MediaWarning("constant_values", problem, "Check how it was exported.", 0.0))
        limit = max(MIN_INFINITE, MIN_INFINITE_SHARE * self.n_rows)
        if len(columns := np.flatnonzero(self._infinite >= limit)):
            first = names[columns[0]] if names else f"feature {columns[0]}"
            count = int(self._infinite[columns].sum())
            problem = (
                f"has {count} infinite values in {len(columns)} columns, for example {first}; they "
                "are read as invalid."
            )
            warn(MediaWarning("infinite_values", problem, "Check the extraction.", float(count)))

"""Times of the rows of a step table, and of the turns of other speakers between them."""

from typing import Any

from depmm.corpora.cells import Fields, parse_time
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_log import IndexLog
from depmm.corpora.spec_schema import StepTable
from depmm.corpora.tables.joined_table import LeftOutTurn
from depmm.corpora.tables.table_files import Origin

# start and end in seconds; texts, and with other_turns in the spec also previous_end_s
StepRange = tuple[float, float | None, dict[str, Any]]


def read_times(
    fields: Fields, table: StepTable, origin: Origin, offset: float
) -> tuple[float, float | None]:
    """Read start and end of a row of a step table.

    Parameters
    ----------
    fields : mapping of str to str or None
        Fields of the row.
    table : StepTable
        Description of the table.
    origin : Origin
        File and line.
    offset : float
        Seconds that are added to the times.

    Returns
    -------
    start_s : float
        Seconds from the start of the recording.
    end_s : float or None
        None if the row has no end.

    Raises
    ------
    ManifestError
        If a time is missing or invalid.
    """
    start = parse_time(fields["start"], "start", table, origin)
    end = parse_time(fields.get("end"), "end", table, origin)
    remedy = "Correct the row, or leave it out with drop: in the step table of the spec."
    if start is None:
        raise origin.error("start is empty; every step needs its start.", "start", remedy=remedy)
    if start < 0 and not offset:
        text = fields["start"]
        raise origin.error(
            f"start is {text!r}, before the recording starts.", "start", text, remedy=remedy
        )
    start_s, end_s = start + offset, None if end is None else end + offset
    if end_s is not None and end_s <= start_s:
        text = fields["end"]
        raise origin.error(
            f"end is {text!r}, not after the start {fields['start']!r}.",
            "end",
            text,
            remedy=remedy,
        )
    return start_s, end_s


def add_previous_ends(
    steps: list[StepRange],
    turns: list[LeftOutTurn],
    table: StepTable,
    offset: float,
    log: IndexLog,
) -> list[StepRange]:
    """Add ``previous_end_s`` to the steps of a recording.

    It is the end of the last turn of another speaker that starts before the step, if no other row
    of the table starts between the turn and the step. A left-out row of the participant, such as
    redacted text, is such a row: after it, the latency of the next step is not known.

    Parameters
    ----------
    steps : list of StepRange
        The steps.
    turns : list of LeftOutTurn
        Rows of the table that are not steps.
    table : StepTable
        Description of the table.
    offset : float
        Seconds that are added to the times.
    log : IndexLog
        Log of turns of other speakers whose times are invalid.

    Returns
    -------
    list of StepRange
        The steps; the value is None where no such turn is known.
    """
    of_steps: dict[float, float | None] = {start: None for start, _, _ in steps}
    of_others: dict[float, float | None] = {}
    of_left_out: dict[float, float | None] = {}
    errors = []
    for turn in turns:
        try:
            start, end = read_times(turn.fields, table, turn.origin, offset)
        except ManifestError as error:
            if turn.is_other:
                errors.append(error)
            continue
        if turn.is_other:
            of_others[start] = end
        else:
            of_left_out[start] = None
    if errors:
        log.add(errors[0], f"the end times of {len(errors)} turns of other speakers")
    # a mark that starts with a turn of another speaker does not hide it
    ends = of_left_out | of_others | of_steps
    starts = sorted(ends)
    before = dict(zip(starts[1:], starts, strict=False))
    return [
        (start, end, {**texts, "previous_end_s": ends[before[start]] if start in before else None})
        for start, end, texts in steps
    ]

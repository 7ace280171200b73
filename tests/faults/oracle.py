"""Verdicts about one input: handled, silent, traceback or hang."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from faults.isolation import Output

# a message contains a remedy if a sentence begins with what to do, or states what is allowed
_VERBS = (
    "Add Ask Build Change Check Choose Close Compare Convert Copy Correct Count Create Delete "
    "Export Extract Fill Finish Free Give Increase Index Keep Known Leave Lower Make Mend Move "
    "Name Normalise Put Quote Raise Re-encode Record Remove Rename Repair Replace Restore Run Save "
    "Separate Set Sort Split State Train Unpack Update Use Wait Write"
)
REMEDY = re.compile(
    rf"(?:^|[.:;,?!)>^(]\s+|\bor\s+|\bto\s+)[\"(]?(?:{'|'.join(_VERBS.split())})\b"
    r"|Did you mean|(?:should|must) be|allowed values|expected one of",
    re.IGNORECASE | re.MULTILINE,
)
OUTCOMES = ("handled", "silent", "traceback", "hang", "ended")
MAX_DETAIL = 400  # characters
MESSAGE_LINES = 12  # of an error, from the line that names the file


@dataclass
class Verdict:
    """What became of one input.

    Attributes
    ----------
    case : str
        How to make the input again: its kind and its seed.
    outcome : str
        ``handled``, ``silent``, ``traceback``, ``hang`` or ``ended`` (one file ended the command).
    detail : str
        Why it is not handled.
    """

    case: str
    outcome: str
    detail: str = ""


@dataclass
class Tally:
    """Verdicts about the inputs of one kind."""

    kind: str
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, case: str, fault: str, verdict: Verdict | None) -> None:
        """Add the verdict of a case, or the fault of its process."""
        if verdict is None:
            outcome = "hang" if fault == "hang" or "memory" in fault else "traceback"
            verdict = Verdict(case, outcome, fault)
        self.verdicts.append(verdict)

    def counts(self) -> list[int]:
        """Count the inputs, and those that are handled, silent, tracebacks, hangs and ended."""
        count = Counter(verdict.outcome for verdict in self.verdicts)
        return [len(self.verdicts), *(count[outcome] for outcome in OUTCOMES)]

    def failures(self) -> list[str]:
        """List what is not handled, one entry per input."""
        return [
            f"{verdict.outcome}: {verdict.case}: {verdict.detail[-MAX_DETAIL:]}"
            for verdict in self.verdicts
            if verdict.outcome != "handled"
        ]


def is_explained(text: str, names: Iterable[str], values: Iterable[str] = ()) -> bool:
    """Tell whether a message names a file or a setting, its value and a remedy.

    Parameters
    ----------
    text : str
        Output of a command.
    names : iterable of str
        The message contains one of these.
    values : iterable of str
        The message contains one of these, unless there are none.
    """
    names, values = list(names), list(values)
    return any(
        any(name in message for name in names)
        and (not values or any(value in message for value in values))
        and REMEDY.search(message) is not None
        for message in _messages(text)
    )


def _messages(text: str) -> list[str]:
    """Join each line with those after it, because a message can have several lines."""
    lines = text.splitlines()
    return [" ".join(lines[index : index + MESSAGE_LINES]) for index in range(len(lines))]


def traceback_in(outputs: Iterable[Output]) -> str | None:
    """Return the end of the first traceback of some commands."""
    for output in outputs:
        if output.has_traceback or output.code not in (0, 1, 2, 130):
            return output.text[-600:]
    return None

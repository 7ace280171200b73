"""The process of `depmm.interpret.query.sql.run_sql`: one query with limits."""

import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow

from depmm.errors import DepmmError
from depmm.interpret.query.limited_process import limit_memory
from depmm.interpret.query.sql import MAX_BYTES, MAX_RESULT_BYTES, memory_error, select_rows


def main() -> None:
    """Answer the request of the standard input on the standard output.

    The answer is one line of JSON, either with the attributes of an error or with notes, and the
    rows as an Arrow stream.
    """
    limit_memory(MAX_BYTES)
    request = json.load(sys.stdin)
    rows = b""
    try:
        try:
            table = select_rows(
                Path(request["run"]), request["text"], request["rows"], request["seconds"]
            )
            rows = _to_arrow(table)
            if len(rows) > MAX_RESULT_BYTES:
                raise memory_error()
            header = {"notes": table.attrs.get("notes", [])}
        except MemoryError:
            raise memory_error() from None
    except DepmmError as error:
        rows = b""
        header = {
            "error": type(error).__name__,
            "message": str(error),
            "setting": error.setting,
            "file": None if error.file is None else str(error.file),
            "line": error.line,
            "remedy": error.remedy,
            "value": error.value if isinstance(error.value, str | int | float) else None,
        }
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + rows)


def _to_arrow(table: pd.DataFrame) -> bytes:
    try:
        arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError):
        # values without a type of Arrow, for example of a UNION column
        objects = [name for name in table if table[name].dtype == object]
        arrow = pyarrow.Table.from_pandas(
            table.astype(dict.fromkeys(objects, str)),
            preserve_index=False,
        )
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    content: bytes = sink.getvalue().to_pybytes()
    return content


if __name__ == "__main__":
    main()

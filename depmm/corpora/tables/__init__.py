"""Tables of a corpus: delimited text, workbooks and JSON."""

"""Tables of an audit: the properties of every session that are not voice or face."""

from depmm.schemas.manifest import CORPUS, SESSION, SUBJECT
from depmm.schemas.table import TableSchema

SESSION_PROPERTIES = TableSchema(
    "session_properties.parquet",
    "One session and its properties other than voice and face: columns of the manifest, steps, "
    "number of sessions, missing values, and statistics of the recordings. A property is a column "
    "``<source>.<name>`` of numbers or text.",
    (CORPUS, SUBJECT, SESSION),
    extra_columns=True,
)

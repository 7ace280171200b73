"""Schemas of every table that depmm writes, for the writers, the tests and the docs."""

from depmm.schemas.table import Column, SchemaError, TableSchema

__all__ = ["Column", "SchemaError", "TableSchema"]

"""Errors of the warehouses' drivers in words for people."""

from __future__ import annotations

import duckdb
import psycopg2
import sqlalchemy as sa

from common import driver_words

_OUT_OF_MEMORY = (MemoryError, duckdb.OutOfMemoryException)
_REFUSALS = (sa.exc.SQLAlchemyError, psycopg2.Error, duckdb.Error)
_HINTS = {
    "22P05": "the database cannot hold every letter: make one with ENCODING 'UTF8'",
    "42501": "the role lacks a right: `python main.py init`, run by the owner, prints the GRANTs",
    "53100": "the disk of the database server is full: make room there, trying again cannot help",
    "53200": "the database server has run out of memory",
    "57014": "the server's statement_timeout, or somebody, ended the statement: "
    "raise it for this role with ALTER ROLE ... SET statement_timeout",
}
"""What to do about an SQLSTATE."""


def in_words(error: Exception) -> str | None:
    """What to say of an error that a warehouse's driver has raised, or of a lack of memory; None of
    any other error.
    """
    if isinstance(getattr(error, "orig", None) or error, _OUT_OF_MEMORY):
        reason = explain(error)
        details = f" ({reason})" if reason else ""
        return f"not enough memory{details}; give the process more, or lower WORKERS and BATCH_ROWS"
    if isinstance(error, _REFUSALS):
        return f"the warehouse refused: {explain(error)}"
    return None


def explain(error: BaseException) -> str:
    """Any error of a warehouse in one line, without values of rows, and what to do about it."""
    return driver_words.explain(error, _HINTS)

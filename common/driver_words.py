"""What a database driver says of an error, in one line that is safe to show.

Messages of drivers quote values of rows, which are personal data: these are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_DATA_EXCEPTION = "22"
"""Class of SQLSTATEs whose message ends in the offending value."""
_RAISED = "P0"
"""Class of those whose message somebody's trigger has written, from whatever values."""
_NO_HINTS: Mapping[str, str] = MappingProxyType({})


def explain(error: BaseException, hints: Mapping[str, str] = _NO_HINTS) -> str:
    """Any error in one line, without values of rows.

    PostgreSQL puts values in the DETAIL and behind the colon of a data exception, other drivers in
    quotes. Where the quotes hold names only, as in "Unknown column 'form'", they stay.
    `hints` says for SQLSTATEs what to do about them.
    """
    original: Any = getattr(error, "orig", None) or error
    diagnosis: Any = getattr(original, "diag", None)
    message = getattr(diagnosis, "message_primary", None)
    if message:
        state = original.pgcode or ""
        if state.startswith(_DATA_EXCEPTION):
            message = message.partition(":")[0]
        if state.startswith(_RAISED):
            message = "a trigger or function raised an exception; the server's log has its words"
        place = f" on {diagnosis.table_name}" if diagnosis.table_name else ""
        hint = f"; {hints[state]}" if state in hints else ""
        return f"{message}{place} (SQLSTATE {state}){hint}"
    code, text = _words(original)
    message = (
        " ".join(text.split()) if _has_names_only(original, code, text) else without_values(text)
    )
    return f"{message[:300]} (error {code})" if code and f"{code}" not in message else message[:300]


def _words(error: Any) -> tuple[int, str]:
    """The number of a driver's error, 0 without one, and its words.

    Drivers of MySQL and SQL Server put both into a tuple, the words sometimes as bytes.
    """
    parts: tuple[Any, ...] = () if isinstance(error, OSError) else error.args
    while len(parts) == 1 and isinstance(parts[0], tuple):
        parts = parts[0]
    numbers = [part for part in (getattr(error, "errno", None), *parts) if type(part) is int]
    texts = [
        part.decode(errors="replace") if isinstance(part, bytes) else part
        for part in parts
        if isinstance(part, str | bytes)
    ]
    if not texts:
        return 0, str(error).partition("\n")[0]
    if len(texts) > 1 and _STATE.fullmatch(texts[0]):  # ODBC: the number stands behind the words
        return int((_NUMBER.findall(texts[1]) or ["0"])[0]), texts[1]
    if numbers:  # SQL Server's library says what matters in the lines that follow
        return numbers[0], _NUMBERED.sub("", texts[0])
    return 0, texts[0].partition("\n")[0]


_STATE = re.compile(r"[0-9A-Z]{5}")
_NUMBER = re.compile(r"\((\d+)\)")
_NUMBERED = re.compile(r"^\d+( \(\w+\))?: ")

_MYSQL = {
    1040, 1042, 1043, 1044, 1045, 1046, 1049, 1051, 1052, 1054, 1055, 1056, 1060, 1064, 1066, 1109,
    1129, 1130, 1142, 1143, 1146, 1149, 1203, 1226, 1227, 1248, 1251, 1286, 1305, 1317, 1356, 1370,
    1449, 1698, 1792, 1820, 1862, 1927, 1969, 3024, 3118, 3159, 4151, *range(2000, 2062),
}  # fmt: skip
_SQL_SERVER = {
    102, 105, 156, 195, 207, 208, 209, 229, 230, 262, 911, 916, 4060, 4064, 18452, 18456, 18470,
    18486, 18487, 18488, *range(20000, 20100),
}  # fmt: skip
_ORACLE = re.compile(r"(ORA-(009|010(17|45)|12|28)|DPY-[46])")
_DUCKDB = re.compile(r"(Binder|Catalog|IO|Parser|Permission) Error")


def _has_names_only(error: Any, code: int, text: str) -> bool:
    """Whether what an error has in quotes are names, hosts or the query: it is about access, the
    connection, or what the query says, and not about what a row holds.
    """
    module = type(error).__module__.partition(".")[0]
    if code:
        return code in _MYSQL or code in _SQL_SERVER
    if module == "psycopg2":  # one without a diagnosis comes from the client: of the connection
        return not getattr(error, "pgcode", None) and type(error).__name__ == "OperationalError"
    if getattr(error, "sqlite_errorname", "") == "SQLITE_ERROR":
        return True
    return module == "sqlalchemy" or bool(_ORACLE.match(text) or _DUCKDB.match(text))


def without_values(text: str) -> str:
    """`text` in one line, as far as a message has room for it, and what it has in quotes replaced.

    Where it is cut off, an open quote reaches to the end.
    """
    ends = r"(?:\1(?!\w)|\Z)" if len(text) > _MOST else r"\1(?!\w)"
    values = rf"""(["'`])(?!\s).*?{ends}"""
    return " ".join(re.sub(values, r"\1...\1", text[:_MOST]).split())


_MOST = 2000
"""Characters of an error that are looked at: quotes without an end cost the square of them."""

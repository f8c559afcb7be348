"""What is wrong with settings, in words: wrong values, and names that are none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from common.source_settings import Join


def explained(detail: Any, places: Mapping[str, str]) -> list[str]:
    """A pydantic error as our own words: the setting's name, then what is wrong with it. `places`
    are of those settings that `star.toml` has.
    """
    place = detail["loc"][1:] if detail["loc"][:1] == ("sources",) else detail["loc"]
    name = "__".join(str(part).upper() for part in place[:2])
    message: str = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("less_than_equal", "greater_than_equal"):
        message += f", and is {str(detail['input'])!r}"
    if name:
        inner = "".join(f".{part}" for part in place[2:] if part in Join.model_fields)
        return [f"{places.get(name, name)}{inner} {message[0].lower()}{message[1:]}"]
    return [
        re.sub(r"^\w+", lambda found: places.get(found[0], found[0]), line)
        for line in message.splitlines()
    ]


def unknown_names(names: Mapping[str, Any], known: Collection[str], *, strict: bool) -> list[str]:
    """Misspelt settings: any unknown name in our file, any near miss in the environment."""
    prefixes = tuple({f"{name.partition('__')[0]}__" for name in known if "__" in name})
    problems = []
    for name in names:
        upper = name.upper()
        if upper in known or not (strict or upper.startswith(prefixes)):
            continue
        close = difflib.get_close_matches(upper, known, n=1, cutoff=0.8)
        if close or upper.startswith(prefixes):
            hint = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"{name} is not a setting{hint}")
    return problems

"""What is shown of a failure, read as one sentence."""

from __future__ import annotations

import re

_PLACE = re.compile(r"^   place    (.+)\n   because  ", re.MULTILINE)
_BECAUSE = re.compile(r"^   because  ", re.MULTILINE)
_STEP = re.compile(r"\n   try      ")
_ANOTHER = re.compile(r"\n {12}(?=\S)")


def as_sentences(shown: str) -> str:
    """`shown` on a stream that is no terminal, with the parts of its failures put together again:
    `place: cause; what to do`.
    """
    text = _PLACE.sub(r"\1: ", shown)
    text = _BECAUSE.sub("", text)
    return _ANOTHER.sub("; ", _STEP.sub("; ", text))

"""What is said of a run that was not published: eight lines at most on a terminal. Where there is
none, each part is a whole line, and none is left out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from config import StarSchemaConfig
from report.figures import begun, percent
from report.look_at import WORST, reasons, worst
from report.screen import Piece, Screen, Shown
from run import quality
from run.summary import Failure, RunSummary

MOST = 8
"""So many lines."""
_LABEL = 9
_STEP = re.compile(
    r"^(?:or )?(?:add|ask|call|check|choose|correct|declare|drop|empty|end|fetch|fill|free|give|go"
    r"|have|install|let|look|lower|make|map|mend|move|name|open|pass|percent-encode|put|raise|read|remove"
    r"|rename|repair|repeat|restore|run|save|say|see|set|split|start|stop|take|try|turn|unpack|use"
    r"|wait|when|write)\b"
)
"""How the part of a message begins that says what to do."""
_PLACE = re.compile(r"^(?P<place>[^;]{1,200}?(?:: [^\s:;]+)?): (?=\S)")
_WORDS = 6
"""A place has at most so many words."""
_SAID_ABOVE = re.compile(
    r"[;,] (?:nothing was published|the rejected rows are in [^;]*|--rejects writes the rows)"
)


@dataclass(frozen=True)
class Told:
    """A message in its parts; what it does not say is blank."""

    place: str
    because: str
    step: str


def told(message: str) -> Told:
    """A message in its parts: `place: what is wrong; what to do about it`."""
    text = _SAID_ABOVE.sub("", message)
    first, *rest = text.split("; ")
    while rest and not any(map(_STEP.match, rest)):
        first, rest = "; ".join([first, *rest]), []
    if rest:
        at = next(n for n, part in enumerate(rest) if _STEP.match(part))
        first, rest = "; ".join([first, *rest[:at]]), rest[at:]
    found = _PLACE.match(first)
    words = found["place"].split() if found else []
    if found is None or len(words) > _WORDS or "is" in words:
        return Told("", first, "; ".join(rest))
    return Told(found["place"], first[found.end() :], "; ".join(rest))


def failure(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """How the run ended, where and why, what to do, and where to read more."""
    failed = summary.failure or of_the_past(summary)
    parts = told(failed.message)
    head = _verdict(summary, failed, config, screen)
    tail = _clipped(_more(summary, config, screen), 2, screen)
    room = MOST - _height(head) - _height(tail) if screen.folds else sys.maxsize
    if summary.advice:
        body = _gate(summary, room, screen)
    elif len(failed.problems) > 1:
        body = _problems(failed.problems, room, screen)
    else:
        body = _parts(parts, step(summary, failed, parts), room, screen)
    return [*head, *body, *tail]


def _verdict(
    summary: RunSummary, failed: Failure, config: StarSchemaConfig, screen: Screen
) -> list[Shown]:
    """What became of the run, and of the star that was there before; in two lines, if it can be."""
    word, texts = ending(summary, failed, config)
    mark = (f" {screen.sign('bad')} {word}", "bad")
    untouched = "nothing was published"
    if word in ("failed", "refused", "interrupted"):
        long = ["; ".join(filter(None, [text, untouched])) for text in texts]
        if summary.follows_run:
            long.insert(0, f"{long[0]}, the star of {begun(summary.follows_run)} is untouched")
        texts = [*long, untouched]
    heads = [screen.line(mark, f"  {text}", indent=3) for text in texts]
    return [next((head for head in heads if _height([head]) <= 2), heads[-1])]


def ending(summary: RunSummary, failed: Failure, config: StarSchemaConfig) -> tuple[str, list[str]]:
    """A word for how it ended, and more about it, the longest text first."""
    during = f"while {failed.during[:1].lower()}{failed.during[1:]}" if failed.during else ""
    if during.endswith(" phase"):
        during = during.replace("while", "in the", 1)
    if summary.status == "unknown" or (failed.is_interrupted and failed.was_committing):
        return "outcome unknown", ["the run was committing: it is published or it is not"]
    if failed.is_interrupted:
        return "interrupted", [f"{during}; rolled back", "rolled back"]
    if summary.status == "busy":
        return "busy", ["another run holds the warehouse; nothing was touched"]
    if summary.advice:
        found = _too_many(summary, f"above MAX_REJECT_RATE={config.max_reject_rate}", config)
        short, *others = _too_many(summary, f"limit {percent(config.max_reject_rate)}", config)
        more = f" and of {len(others)} more" if others else ""
        return "refused", [", ".join(found), f"{found[0]}{more}", f"{short}{more}"]
    return ("refused" if summary.status == "gate_failed" else "failed"), [during]


def _too_many(summary: RunSummary, limit: str, config: StarSchemaConfig) -> list[str]:
    """Of which sources too many rows were rejected, the worst first."""
    tables = {table.source: table for table in summary.outcomes.tables.values()}
    read = {} if summary.outcomes.extraction is None else summary.outcomes.extraction.sources
    found = []
    for name in summary.advice:
        rows, rejected = read[name].records, sum(tables[name].rejected.values())
        share, called = quality.share(rejected, rows), config.star.source(name).called
        text = f"{rejected:,} of {rows:,} {called} rejected ({share}, {limit})"
        found.append((-rejected / max(rows, 1), text))
    return [text for _, text in sorted(found)]


def step(summary: RunSummary, failed: Failure, parts: Told) -> str:
    """What to do."""
    if parts.step:
        return parts.step
    if failed.is_interrupted and not failed.was_committing:
        return "run it again"
    if failed.is_interrupted or summary.status == "unknown":
        return f"look for run {summary.run_id} in etl_run: if it is there, it is published"
    if summary.status == "busy":
        return "wait until it has ended, then run again"
    return "python main.py check"


def _parts(parts: Told, step: str, room: int, screen: Screen) -> list[Shown]:
    """Place, cause and next step, within so many lines."""
    place = _clipped(_labelled("place", parts.place, screen), 2, screen)
    todo = _clipped(_labelled("try", step, screen), max(room - _height(place) - 1, 1), screen)
    left = max(room - _height(place) - _height(todo), 1)
    return [*place, *_clipped(_labelled("because", parts.because, screen), left, screen), *todo]


def _problems(problems: Sequence[str], room: int, screen: Screen) -> list[Shown]:
    """Several things that are wrong, and what to do about the first and the last of them, or about
    all of them, if there is room.
    """
    parts = [told(problem) for problem in problems]
    steps = list(dict.fromkeys(part.step for part in parts if part.step))
    todo: list[Shown] = []
    told_steps = dict.fromkeys([*steps[:1], *steps[-1:]]) if screen.folds else steps
    for number, step in enumerate(told_steps):
        todo += _clipped(_labelled("" if number else "try", step, screen), 1, screen)
    left = room - _height(todo)
    each = max(left // len(parts), 1)
    shown: list[Shown] = []
    for number, part in enumerate(parts):
        text = ": ".join(filter(None, [part.place, part.because]))
        line = _clipped(_labelled("" if number else "because", text, screen), each, screen)
        is_last = number + 1 == len(parts)
        if _height(shown) + _height(line) > left - (not is_last):
            text = f"and {len(parts) - number} more: see the log"
            shown += _clipped(_labelled("", text, screen), 1, screen)
            break
        shown += line
    return [*shown, *todo]


def _more(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """Where to read more: what is cut off, if there is no room, is the path of the log."""
    log, run = str(config.log_file), f"run {summary.run_id}"
    if summary.advice:
        rows = f"python main.py rejects {summary.run_id}"
        if not summary.rejects_dir:
            rows = f"{run}; --rejects writes the rows"
        return _labelled("see", f"{rows}, {log}", screen)
    if not config.log_file.exists():  # in a folder where nothing was to be made
        return []
    both = f"{log}, {run}"
    has_room = not screen.folds or len(both) + 3 + _LABEL <= screen.width
    return _labelled("log", both if has_room else f"{run}, {log}", screen)


def of_the_past(summary: RunSummary) -> Failure:
    """How a run failed of which only the summary is kept."""
    message = "; ".join(summary.errors)
    during, failed, rest = message.partition(" failed: ")
    if failed and len(during.split()) <= _WORDS:
        return Failure(during, rest)
    return Failure("", message)


def _gate(summary: RunSummary, room: int, screen: Screen) -> list[Shown]:
    """Why rows were rejected of the sources that have too many, where, and what would help."""
    found = [r for r in reasons(summary.outcomes) if r.source in summary.advice]
    shown: list[Shown] = []
    for number, reason in enumerate(found[:WORST]):
        lines = worst([reason], screen)
        advice = summary.advice[reason.source].get(reason.name, "")
        least = room - _height(shown) - (number + 1 < len(found))
        if _height(lines) > least:
            break
        shown += lines
        shown += _clipped(_labelled("try", advice, screen), min(2, least - _height(lines)), screen)
    others = found[sum(not isinstance(line, Text) for line in shown) :]
    if others and _height(shown) < room:
        rows = sum(reason.rows for reason in others)
        shown.append(screen.line(f"   and {rows:,} more for {len(others)} other reasons"))
    return shown


def _labelled(label: str, text: str, screen: Screen) -> list[Shown]:
    if not text:
        return []
    pieces: tuple[Piece, ...] = ("   ", (label.ljust(_LABEL), "dim"), text)
    return [screen.line(*pieces, indent=3 + _LABEL)]


def _clipped(lines: Sequence[Shown], most: int, screen: Screen) -> list[Shown]:
    """No more than so many lines, where there is a fold; what is left out leaves a mark."""
    if not screen.folds:
        return list(lines)
    kept: list[Text] = []
    for shown in lines:
        kept += shown.split("\n") if isinstance(shown, Text) else []
    if len(kept) <= most:
        return list(lines)
    more = screen.sign("more")
    last = kept[most - 1].copy()
    last.truncate(screen.width - len(more))
    return [*kept[: most - 1], last.append(more)]


def _height(lines: Sequence[Shown]) -> int:
    """How many lines these take."""
    return sum(
        shown.plain.count("\n") + 1 if isinstance(shown, Text) else shown.row_count
        for shown in lines
    )

"""What is said of a run when it has ended: the verdict first, the next step last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.text import Text

from config import StarSchemaConfig
from report.accounts import accounts
from report.failure import failure
from report.figures import duration
from report.look_at import look_at
from report.preview import preview
from report.screen import Piece, Screen, Shown
from report.star_now import star_now
from report.verdict import untouched, verdict
from run.summary import LATEST_PAGE, SHORT, RunSummary

_BAR = 5
"""How many characters wide the bar of the longest phase is."""
_PARTS = " ▏▎▍▌▋▊▉█"
LOG_SCREEN = Screen(100, folds=False)
"""What the log file shows: the same, without colours and bars; each line is whole."""


def run_text(
    summary: RunSummary, config: StarSchemaConfig, screen: Screen, *, with_names: bool = False
) -> str:
    """All that is said of a run, on a screen. What a dry run would change is part of it, if it may
    show names and addresses.
    """
    lines = run_lines(summary, config, screen, with_names=with_names)
    if summary.success and not summary.repeats_run:
        lines += _next(summary, screen)
    return screen.render(lines)


def run_lines(
    summary: RunSummary, config: StarSchemaConfig, screen: Screen, *, with_names: bool = False
) -> list[Shown]:
    """The same without the next step."""
    if not summary.success:
        return failure(summary, config, screen)
    if summary.repeats_run:
        return untouched(summary, config, screen)
    lines = verdict(summary, config, screen)
    if with_names and summary.changes is not None and summary.changes.is_preview:
        lines += [Text(), *preview(summary.changes, config.star, screen)]
    for part in (accounts, star_now, look_at):
        shown = part(summary, config, screen)
        lines += [Text(), *shown] if shown else []
    return [*lines, *_times(summary, screen)]


def _times(summary: RunSummary, screen: Screen) -> list[Shown]:
    """How long each phase took."""
    phases = {
        title: summary.outcomes.phases[name].duration_seconds
        for name, title in SHORT.items()
        if name in summary.outcomes.phases and summary.outcomes.phases[name].status != "not_run"
    }
    longest = max(phases.values(), default=0.0) or 1.0
    pieces: list[Piece] = []
    for title, seconds in phases.items():
        bar = _bar(seconds / longest, screen)
        text = Text.assemble((f"{title} ", "dim"))
        if bar:
            text.append(f"{bar} ", "bar")
        pieces.append(text.append(duration(seconds).removesuffix(" s")))
    return screen.flow(("time  ", "dim"), pieces, gap=2)


def _bar(share: float, screen: Screen) -> str:
    """A bar; blank where there is no terminal to show it."""
    if not screen.colours:
        return ""
    full = screen.sign("full")
    if full != _PARTS[-1]:
        return full * max(round(share * _BAR), 1)
    whole, part = divmod(max(round(share * _BAR * 8), 1), 8)
    return full * whole + _PARTS[part].strip()


def _next(summary: RunSummary, screen: Screen) -> list[Shown]:
    """What to do now."""
    rejected = any(table.rejected for table in summary.outcomes.tables.values())
    steps: list[tuple[str, str]] = []
    if summary.report:
        steps.append((str(Path(summary.report).with_name(LATEST_PAGE)), "the report, with charts"))
    if summary.status == "dry_run":
        steps.append(("python main.py", "publish it"))
        if rejected and summary.rejects_dir:  # `rejects` knows only runs of the star
            steps.append((summary.rejects_dir, "has the refused rows"))
    elif rejected and summary.rejects_dir:
        steps.append(("python main.py rejects", "what was refused, and why"))
    if not steps:
        return screen.flow(("next  ", "dim"), ["nothing needs a look"])
    lines: list[Shown] = []
    label = "next  "
    for step, why in steps:
        lines += screen.flow((label, "dim"), [(step, "strong"), (f"# {why}", "dim")])
        label = " " * len(label)
    return lines


def in_log(summary: RunSummary, config: StarSchemaConfig) -> list[str]:
    """The same for the log file, line by line."""
    return run_text(summary, config, replace(LOG_SCREEN)).splitlines()

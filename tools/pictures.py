"""Makes the pictures of README and docs/ from the samples: `make pictures`.

The console as SVG, from what a run prints at a terminal; the page of that run, and the notebook of
the README as a kernel runs it, as PNG by a headless Chromium. The star is drawn by `make docs`.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import nbclient
import nbformat
import pexpect
from playwright.sync_api import Error
from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from tools.chromium import browser, chromium

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
COLUMNS, WINDOW, NARROW = 80, 1200, 880
"""Of a terminal, in characters; of windows, in pixels."""
_CHARACTER = 12.2
"""How wide Rich draws a character."""
_WITHOUT = "there is no Chromium, which takes the pictures: apt install chromium"
_MARGIN = 12
"""Below the last part of a picture of several, in pixels."""
_WAIT = 120
"""Seconds after which nothing more is to be expected."""


class PictureError(Exception):
    """A picture cannot be made; the message says what is missing or wrong."""


@dataclass(frozen=True)
class Shop:
    """A folder with the samples, in which the application runs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """With no settings, and nothing of whoever makes the pictures."""
        jupyter = {
            name: str(self.folder / "jupyter" / name)
            for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")
        }
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color", "LANG": "C.UTF-8", **jupyter,
        }  # fmt: skip


@contextmanager
def shop() -> Iterator[Shop]:
    """A shop in a folder of its own, which is removed again."""
    with TemporaryDirectory(prefix="pictures-") as folder:
        (Path(folder) / "data").mkdir()
        for path in (ROOT / "data").glob("*.*"):
            if path.suffix in (".csv", ".json"):
                shutil.copy(path, Path(folder) / "data")
        yield Shop(Path(folder))


def main(names: Sequence[str] = (), folder: Path = FOLDER) -> int:
    """Make these pictures in `folder`, or all of them; says which, or what is missing."""
    folder.mkdir(exist_ok=True)
    try:
        for name in set(names) - PICTURES:
            raise PictureError(f"{name} is none of the pictures: {', '.join(sorted(PICTURES))}")
        if any(name.endswith(".png") for name in names or PICTURES) and not chromium():
            raise PictureError(_WITHOUT)
        for group, make in MADE_BY.items():
            if names and not set(names) & set(group):
                continue
            with shop() as here:
                made = dict(zip(group, make(here), strict=True))
            for name in [name for name in group if not names or name in names]:
                (folder / name).write_bytes(made[name])
                sys.stdout.write(f"made {name}, {len(made[name]) // 1024} KiB\n")
    except PictureError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def of_the_terminal(here: Shop) -> Iterator[bytes]:
    """What a first run prints."""
    yield console(at_a_terminal(here, "main.py"), "make run").encode()


def of_the_page(here: Shop) -> Iterator[bytes]:
    """The top of the page of a first run, and of what it has of the business."""
    at_a_terminal(here, "main.py")
    page = here.folder / "data" / "reports" / "latest.html"
    yield shot(page, WINDOW, "body", "#accounts table >> nth=1")
    yield shot(page, WINDOW, "#business", "#business details >> nth=0")


def of_the_notebook(here: Shop) -> Iterator[bytes]:
    """The cell of the README that runs, and its last one, as a notebook shows them."""
    page = here.folder / "notebook.html"
    page.write_text(cells_with_outputs(here, cells_of_the_readme()), encoding="utf-8")
    yield shot(page, NARROW, "article >> nth=1", "article >> nth=1")
    yield shot(page, NARROW, "article >> nth=-1", "article >> nth=-1")


MADE_BY: dict[tuple[str, ...], Callable[[Shop], Iterator[bytes]]] = {
    ("console.svg",): of_the_terminal,
    ("report.png", "business.png"): of_the_page,
    ("notebook.png", "frame.png"): of_the_notebook,
}
"""By the names of their files, what makes them in a shop of its own."""
PICTURES = set(chain.from_iterable(MADE_BY))


# --- the console ----------------------------------------------------------------------------


def at_a_terminal(here: Shop, *command: str) -> str:
    """What the application prints at a terminal, colours included; its live lines are left out.

    Raises `PictureError` where it fails.
    """
    child = pexpect.spawn(
        "/bin/sh", ["-c", 'exec "$@" 2>/dev/null', "sh", sys.executable, str(ROOT / command[0])],
        cwd=str(here.folder), env=here.environment, dimensions=(40, COLUMNS), encoding="utf-8",
        timeout=_WAIT,
    )  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    if child.exitstatus != 0:
        raise PictureError(f"the run has ended with exit code {child.exitstatus}:\n{child.before}")
    return str(child.before).replace("\r\n", "\n")


_TERMINAL = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
  <title>%s</title>
  <style>
    .{unique_id}-matrix {{
      font: {char_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
    }}
    .{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
    </clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""
"""As Rich's own, but for its fonts, which it would fetch from a server."""


def console(printed: str, command: str) -> str:
    """A picture of a terminal in which `command` has printed this."""
    reject_what_identifies(printed)
    width = max(COLUMNS, *(len(Text.from_ansi(line)) for line in printed.splitlines()))
    screen = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    screen.print(Text.from_ansi(printed), soft_wrap=True)  # the blank line below is its margin
    template = _TERMINAL % f"What {command} prints"
    return screen.export_svg(title=command, code_format=template, unique_id="console")


def text_of(svg: str) -> list[str]:
    """The lines that the picture of a terminal shows."""
    lines: dict[float, str] = {}
    matrix = svg.partition('-matrix">')[2]
    for x, y, text in re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', matrix):
        before = lines.get(float(y), "").ljust(round(float(x) / _CHARACTER))
        lines[float(y)] = before + unescape(text).replace("\xa0", " ")
    return [lines[y].rstrip() for y in sorted(lines)]


# --- the notebook ---------------------------------------------------------------------------


def cells_of_the_readme() -> list[str]:
    """The Python of the README, as the cells of a notebook."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [
        cell.strip()
        for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for cell in block.split("\n\n")
    ]


def cells_with_outputs(here: Shop, cells: list[str]) -> str:
    """A page with these cells, and what a kernel shows of each.

    Raises `PictureError` where a cell fails.
    """
    form: Any = nbformat.v4  # its functions have no types
    made = form.new_notebook(cells=[form.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        made, timeout=_WAIT, kernel_name="python3", resources={"metadata": {"path": here.folder}}
    )
    try:
        client.execute(env=here.environment, stderr=subprocess.DEVNULL)
    except nbclient.exceptions.CellExecutionError as problem:
        raise PictureError(f"a cell of the README fails: {problem}") from problem
    body = []
    for number, cell in enumerate(made.cells, 1):
        code = f"<div class=cell><b>[{number}]:</b><pre>{_coloured(cell.source)}</pre></div>"
        below = [f"<div class=cell><b></b><div>{_shown(out)}</div></div>" for out in cell.outputs]
        body.append(f"<article>{code}{''.join(below)}</article>")
    return f"<!doctype html><meta charset=utf-8><style>{_PAPER}</style>{''.join(body)}"


_PAPER = """
  body { font: 15px/1.5 system-ui, sans-serif; margin: 0; background: #ffffff; color: #1f2328; }
  article { padding: 12px 16px 4px; }
  .cell { display: grid; grid-template-columns: 48px 1fr; margin-bottom: 8px; }
  .cell > b { color: #0a6ebd; font: 14px/2.6 monospace; }
  pre { background: #f6f8fa; border: 1px solid #d1d9e0; padding: 8px 12px; margin: 0; }
  :where(table) { border-collapse: collapse; border: 0; font-size: 13px; }
  :where(th, td) { text-align: right; padding: 4px 8px; }
  :where(tbody tr:nth-child(odd)) { background: #f6f8fa; }
"""


def _coloured(code: str) -> str:
    """Python as HTML, in colours."""
    screen = Console(record=True, file=io.StringIO(), width=1000)
    screen.print(Syntax(code, "python", theme="default", background_color="default"))
    html = screen.export_html(inline_styles=True, code_format="{code}")
    html = re.sub(r"background-color: #\w+;? ?", "", html)
    return "\n".join(line.rstrip() for line in html.splitlines())


def _shown(output: Any) -> str:
    """What a notebook shows of an output: HTML, where it has some."""
    data = output.get("data", {})
    return str(
        data.get("text/html") or f"<pre>{data.get('text/plain', output.get('text', ''))}</pre>"
    )


# --- the browser ----------------------------------------------------------------------------


def shot(path: Path, width: int, first: str, last: str) -> bytes:
    """A page as PNG, in a light window so wide: from the top of one part to the end of another,
    named as Playwright does. Raises `PictureError` where the page has no such part, and where there
    is no Chromium.
    """
    installed = chromium()
    if installed is None:
        raise PictureError(_WITHOUT)
    with browser(installed) as started:
        page = started.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
        page.goto(path.as_uri())
        reject_what_identifies(page.inner_text("body"))
        try:
            clip, end = (page.locator(part).bounding_box(timeout=5000) for part in (first, last))
        except Error as problem:
            raise PictureError(f"{path.name} has no {first}, or no {last}") from problem
        if clip is None or end is None:
            raise PictureError(f"{path.name} does not show {first}, or {last}")
        whole: int = page.evaluate("document.documentElement.scrollHeight")
        below = 0 if first == last else _MARGIN
        clip["height"] = min(end["y"] + end["height"] + below, whole) - clip["y"]
        return page.screenshot(full_page=True, clip=clip)


def reject_what_identifies(text: str) -> None:
    """Raises `PictureError` where a text names a folder of this machine, or the machine."""
    for word in (str(ROOT), gettempdir(), str(Path.home()), socket.gethostname()):
        if word != "/" and word in text:
            line = next(line for line in text.splitlines() if word in line)
            raise PictureError(f"a picture would show {word!r}: {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The summary of a run for people: a dict that shows itself in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.rejects import REJECT_COLUMNS
from config import StarSchemaConfig
from errors import RequestError
from run.summary import RunSummary

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "_source"
"""Column of the rejects of all sources: which one a row is of."""


class Results(dict[str, Any]):
    """`results` of a run: the dict of its summary, which `json.dumps` takes. A notebook shows it as
    the console shows the run.

    A copy of it, and what is pickled, is the plain dict: neither holds the settings.
    """

    def __init__(self, summary: RunSummary, config: StarSchemaConfig) -> None:
        super().__init__(summary.as_dict())
        self._summary, self._config = summary, config

    @property
    def report(self) -> Path | None:
        """The page of the run; None where none was written."""
        path = self.get("report")
        return Path(path) if path else None

    def rejects(self, source: str | None = None) -> pd.DataFrame:
        """The rows that were refused, of `source`: as its reject file has them, which is text
        throughout, with `_reason`, `_detail`, `_line`, `_file`, `_raw` behind its own columns.
        Without `source` those of all, with these and `_source` before. No row where none was
        refused.

        Raises `RequestError` for a source that there is not, and where the files are not there.
        """
        import pandas as pd  # noqa: PLC0415  # which a run does not need

        from run.refused_rows import opened  # noqa: PLC0415

        refused = self._refused(source)
        folder = self._summary.rejects_dir
        files = opened(self._config, Path(folder), source) if folder else []
        if missing := refused - {file.source for file in files}:
            raise RequestError(self._missing(sorted(missing)))
        frames = []
        for file in files:
            names, *rows = file.cells()
            frame = pd.DataFrame(rows, columns=names, dtype="str")
            if source is None:
                frame.insert(0, SOURCE, file.source)
            frames.append(frame)
        told = [*REJECT_COLUMNS] if source else [SOURCE, *REJECT_COLUMNS]
        if not frames:
            return pd.DataFrame(columns=told, dtype="str")
        found = pd.concat(frames, ignore_index=True)
        return found if source else found[[*told, *found.columns.difference(told, sort=False)]]

    def _refused(self, source: str | None) -> set[str]:
        """The sources of which rows were refused."""
        known = self._config.sources.keys()
        if source is not None and source not in known:
            raise RequestError(f"there is no source {source!r}; there are {', '.join(known)}")
        tables = self._summary.outcomes.tables.values()
        return {t.source for t in tables if any(t.rejected.values()) and source in (None, t.source)}

    def _missing(self, sources: list[str]) -> str:
        named = ", ".join(sources)
        if not self._summary.rejects_dir:
            return (
                f"this dry run did not write the rejects of {named}; "
                "StarSchemaETLPipeline(config, dry_run=True, rejects=True) does"
            )
        return f"the rejects of {named} are not in {self._summary.rejects_dir} any more"

    def __repr__(self) -> str:
        """In short: the whole is `dict(results)`."""
        return f"<run {self._summary.run_id}: {self._summary.in_a_line()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def _repr_html_(self) -> str:
        from pages.run_html import run_html  # noqa: PLC0415  # with the charts, where they are seen

        return run_html(self._summary, self._config, self.report)

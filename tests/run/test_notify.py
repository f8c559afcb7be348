"""NOTIFY_URL hears how a run ended, and never changes how it ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import run.notify
from cli import main
from main import StarSchemaETLPipeline
from run.notify import request_of
from support.commands import in_a_child, run_command
from support.retailer import Retailer
from support.tables import Row
from support.webhook import Webhook, bad_server, webhook
from warehouse import open_warehouse

KEYS = {
    "application", "version", "host", "status", "exit_code", "success", "failed_phase", "run_id",
    "repeats_run", "started_at", "duration_seconds", "records_read", "rejected", "failed_checks",
    "errors", "warnings", "new_warnings", "text",
}  # fmt: skip
LIMIT: Row = {"MAX_REJECT_RATE": "0.1"}


def told(shop: Retailer, hook: Webhook, **settings: object) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a run, and what the webhook got of it."""
    before = len(hook.bodies)
    env = shop.env_file(NOTIFY_URL=hook.url, **settings)
    code = main(["--env-file", env, "--quiet"])
    return code, hook.bodies[before:]


@pytest.mark.parametrize(
    ("notify_on", "hears"),
    [
        ("failure", {"gate_failed", "failed"}),
        ("warning", {"warned", "gate_failed", "failed"}),
        ("always", {"published", "warned", "gate_failed", "failed"}),
    ],
)
def test_notify_on_says_of_which_outcomes_it_hears(
    duckdb_shop: Retailer, notify_on: str, hears: set[str]
) -> None:
    shop, heard = duckdb_shop, set()
    with webhook() as hook:
        _, calls = told(shop, hook, NOTIFY_ON=notify_on)
        heard |= {"published"} if calls else set()
        shop.sales[1]["extra"] = shop.sales[0]["extra"] = shop.sales[2]["extra"] = "x"
        _, calls = told(shop, hook, NOTIFY_ON=notify_on)  # an unknown column is a warning
        heard |= {"warned"} if calls else set()
        shop.sales[0]["quantity"] = "x"
        _, calls = told(shop, hook, NOTIFY_ON=notify_on, **LIMIT)
        heard |= {call["status"] for call in calls}
        shop.files["customers"] = None
        _, calls = told(shop, hook, NOTIFY_ON=notify_on)
        heard |= {call["status"] for call in calls}
    assert heard == hears


def test_a_warning_that_lasts_is_told_once(shop: Retailer) -> None:
    """A message each night is read by nobody. More rejects are news above WARN_REJECT_RATE only."""
    for column in ("first_name", "email"):
        shop.customers[0][column] = ""
    limit: Row = {"NOTIFY_ON": "warning", "WARN_REJECT_RATE": "0.5"}

    def heard(hook: Webhook, **settings: object) -> tuple[int, list[tuple[int, int]]]:
        code, calls = told(shop, hook, **limit | settings)
        return code, [(call["warnings"], call["new_warnings"]) for call in calls]

    with webhook() as hook:
        assert heard(hook) == (0, [])
        shop.sales[0]["customer_id"] = "C8"
        shop.sales[0]["extra"] = shop.sales[1]["extra"] = shop.sales[2]["extra"] = "x"
        first = heard(hook)
        assert first == (0, [(first[1][0][0], first[1][0][0])])
        assert heard(hook) == (0, [])  # the same again
        assert heard(hook) == (0, [])
        shop.sales[1]["quantity"] = "7"
        assert heard(hook) == (0, [])
        shop.customers.append({"customer_id": "", "city": "Rome"})
        assert [new for _, new in heard(hook)[1]] == [1]
        shop.customers.append({"customer_id": "", "city": "Oslo"})
        assert heard(hook) == (0, [])
        for city in ("Bari", "Turin"):
            shop.customers[0]["city"] = city
            assert [new for _, new in heard(hook, WARN_REJECT_RATE="0.01")[1]] == [1]
    assert all("of them new" in body["text"] for body in hook.bodies)


def test_it_hears_ids_and_counts(shop: Retailer) -> None:
    """As JSON with the keys that are documented."""
    with webhook() as hook:
        shop.sales[0]["quantity"] = "x"
        assert told(shop, hook, NOTIFY_ON="always")[0] == 0
        code, (body,) = told(shop, hook, **LIMIT)
    first = hook.bodies[0]
    assert first.keys() == body.keys() == KEYS
    assert (code, body["exit_code"], body["status"], body["success"]) == (
        3,
        3,
        "gate_failed",
        False,
    )
    assert (first["status"], first["success"], first["host"]) == (
        "published", True, socket.gethostname(),
    )  # fmt: skip
    assert body["rejected"] == {"transactions": {"invalid_quantity": 1}}
    assert body["records_read"] == 7
    assert body["failed_phase"] == "transformation"
    assert body["run_id"] == shop.star.runs()[-1][0]
    assert "refused by a data-quality gate" in body["text"]
    assert "1 of 7 rows rejected" in body["text"]
    assert hook.headers[0]["Content-Type"] == "application/json"
    assert hook.headers[0]["User-Agent"].startswith("star-schema-etl/")


def test_personal_data_is_in_no_notification(duckdb_shop: Retailer) -> None:
    """Nor what an error quotes: without a header the first row is one."""
    shop = duckdb_shop
    canary = "Canary,Canary,canary@example.org,Canary Street 1"
    shop.sales[0]["customer_id"] = shop.sales[0]["quantity"] = "Canary Bird"
    shop.customers[0].update(first_name="Canary", email="canary@example.org", city="Canary")
    with webhook() as hook:
        told(shop, hook, NOTIFY_ON="always", ORPHAN_POLICY="reject")
        shop.files["customers"] = f"{canary}\nC1,Ada,x,y\n"
        told(shop, hook)
        shop.files["customers"] = f"customer_id,first_name\nC1,{canary}\n"
        told(shop, hook, **LIMIT)
    assert len(hook.bodies) == 3
    assert "canary" not in json.dumps(hook.bodies).lower()


def test_a_busy_warehouse_is_a_failure(shop: Retailer) -> None:
    shop.publish()
    with webhook() as hook, open_warehouse(shop.config(), "the-other-run"):
        code, (body,) = told(shop, hook)
    assert (code, body["exit_code"], body["status"]) == (4, 4, "busy")


@pytest.mark.parametrize("where", ["env file", "environment", "star.toml"])
def test_wrong_settings_are_told_where_the_address_is_known(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    shop = duckdb_shop
    with webhook() as hook:
        settings: Row = {"LOG_LEVEL": "LOUD", "PHONE_REGION": "Mars"}
        if where == "env file":
            settings["NOTIFY_URL"] = hook.url
        elif where == "environment":
            monkeypatch.setenv("NOTIFY_URL", hook.url)
        else:
            Path("star.toml").write_text(f'version = 1\nnotify_url = "{hook.url}"\n')
        env = shop.env_file(**settings)
        assert main(["--env-file", env, "check"]) == 2  # no run
        assert main(["--env-file", env, "--dry-run"]) == 2
        assert hook.bodies == []
        assert main(["--env-file", env]) == 2
        (body,) = hook.bodies
    assert (body["status"], body["exit_code"], body["errors"]) == ("configuration_error", 2, 2)
    assert body["run_id"] is None


def test_a_log_that_cannot_be_written_is_told(duckdb_shop: Retailer) -> None:
    with webhook() as hook:
        code, (body,) = told(duckdb_shop, hook, LOG_FILE="/dev/null/etl.log")
    assert (code, body["status"]) == (2, "configuration_error")


@pytest.mark.parametrize("ending", ["published", "failed"])
def test_a_dry_run_notifies_nobody(duckdb_shop: Retailer, ending: str) -> None:
    duckdb_shop.publish()
    if ending == "failed":
        duckdb_shop.files["customers"] = None
    with webhook() as hook:
        env = duckdb_shop.env_file(NOTIFY_URL=hook.url, NOTIFY_ON="always")
        assert main(["--env-file", env, "--dry-run", "--quiet"]) == (ending == "failed")
    assert hook.bodies == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_told(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", interrupted)
    with webhook() as hook:
        ended, (body,) = told(duckdb_shop, hook)
    assert (ended, body["exit_code"], body["status"]) == (code, code, "interrupted")


LATE = "no answer within"
BAD: dict[str, tuple[bytes | None, bool, str]] = {
    "silent": (None, False, LATE),
    "dripping": (b"HTTP/1.1 200 OK\r\nX-Long: ", True, LATE),
    "hanging up": (b"", False, "closed the connection"),
    "no HTTP": (b"220 mail.example.org ESMTP\r\n\r\n", False, "did not speak HTTP"),
    "endless": (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000_000, False, "did not speak HTTP"),
    "noise": (bytes(range(256)) * 40, False, "did not speak HTTP"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("success", [True, False])
def test_a_bad_server_changes_nothing(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    success: bool,
) -> None:
    """The run ends as it would have, with one warning in the log, which has no address."""
    shop = duckdb_shop
    shop.publish()
    monkeypatch.setattr(run.notify, "SECONDS", 0.5)
    answer, drips, reason = BAD[kind]
    if not success:
        shop.files["customers"] = None
    with bad_server(answer, drips=drips) as url:
        code, out, err = run_command(shop, capsys, "--json", NOTIFY_URL=url, NOTIFY_ON="always")
    assert code == (0 if success else 1)
    assert json.loads(out)["status"] == ("published" if success else "failed")
    told_so = [line for line in shop.log.splitlines() if "NOTIFY_URL" in line]
    assert len(told_so) == 1
    assert "WARNING" in told_so[0]
    assert reason in told_so[0] or (reason == LATE and "in time" in told_so[0])
    assert "s3cr3t" not in shop.log + out + err


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 429, 500, 503])
def test_a_server_that_does_not_take_it_is_a_warning(duckdb_shop: Retailer, status: int) -> None:
    """A redirect is not followed, wherever it leads."""
    with webhook() as other, webhook(status, other.url if status < 400 else "") as hook:
        assert told(duckdb_shop, hook, NOTIFY_ON="always")[0] == 0
        assert len(hook.bodies) == 1
        assert other.paths == []
    assert (
        f"NOTIFY_URL was not told how the run ended: the server answered with HTTP status {status}"
        in (duckdb_shop.log)
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/s3cr3t", "the server refuses connections"),
        ("http://no-such-host.invalid/s3cr3t", "its host is not known"),
        ("https://127.0.0.1:PORT/s3cr3t", "TLS could not be agreed on"),
        ("http://user:s3cr3t@127.0.0.1/", ""),
        ("http://127.0.0.1:99999/s3cr3t", ""),
        ("http://127.0.0.1:x/s3cr3t", ""),
        ("http://[::1/s3cr3t", ""),
        ("http://127.0.0.1:1/s3cr3t\x7f", ""),
        ("http://xn--/s3cr3t" + "é" * 300, ""),
    ],
)
def test_an_address_that_leads_nowhere_is_a_warning(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    with webhook() as hook:
        url = url.replace("PORT", str(hook.port))
        code, out, err = run_command(duckdb_shop, capsys, NOTIFY_URL=url, NOTIFY_ON="always")
    assert code == 0
    assert "NOTIFY_URL was not told how the run ended: " in duckdb_shop.log
    assert reason in duckdb_shop.log or LATE in duckdb_shop.log  # a resolver may take its time
    assert "s3cr3t" not in duckdb_shop.log + out + err


def test_a_name_that_nobody_resolves_costs_no_more_than_was_given(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver knows no timeout: it is left behind."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    monkeypatch.setattr(run.notify, "SECONDS", 0.3)
    try:
        results = duckdb_shop.publish(NOTIFY_URL="http://example.org/", NOTIFY_ON="always")
    finally:
        over.set()
    assert results["status"] == "published"
    assert "no answer within 0.3 seconds" in duckdb_shop.log


def test_a_signal_during_the_notification_changes_nothing(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed run stays one: its exit code is that of the failure."""
    shop = duckdb_shop
    shop.publish()
    shop.files["customers"] = None
    real = run.notify.send

    def signalled(*given: Any) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    monkeypatch.setattr(run.notify, "send", signalled)
    with bad_server(None) as url:
        assert main(["--env-file", shop.env_file(NOTIFY_URL=url), "--quiet"]) == 1
    assert "it was interrupted" in shop.log


def test_the_address_is_in_no_repr_and_goes_to_no_worker(duckdb_shop: Retailer) -> None:
    config = duckdb_shop.config(NOTIFY_URL="https://example.org/s3cr3t")
    assert "s3cr3t" not in repr(config) + str(config) + config.model_dump_json()
    assert config.for_workers().notify_url is None


def test_a_wrong_address_is_not_quoted(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_command(duckdb_shop, capsys, NOTIFY_URL="ftp://example.org/s3cr3t")
    assert code == 2
    assert "NOTIFY_URL is not a web address" in err
    assert "s3cr3t" not in err


OUTCOME: Row = {
    "text": "a < b & c", "status": "gate_failed", "exit_code": 3, "run_id": "20260101T0000-0a1b",
    "success": False, "duration_seconds": 1.25, "host": "h",
    "rejected": {"transactions": {"invalid_date": 5581, "missing_key": 3}}, "failed_checks": {},
}  # fmt: skip


@pytest.mark.parametrize("host", ["hooks.slack.com", "HOOKS.slack.com:443", "hooks.slack-gov.com"])
def test_slack_gets_text_and_blocks(host: str) -> None:
    url, body = request_of(f"https://{host}/services/T0/B0/x", OUTCOME)
    assert url == f"https://{host}/services/T0/B0/x"
    assert body.keys() == {"text", "blocks"}
    assert body["text"] == "a &lt; b &amp; c"
    (section,) = body["blocks"]
    assert section["type"] == "section"
    assert section["text"] == {"type": "mrkdwn", "text": body["text"]}
    assert 0 < len(section["fields"]) <= 10
    assert all(len(field["text"]) <= 2000 for field in section["fields"])
    assert "invalid_date 5,581" in json.dumps(section["fields"])


@pytest.mark.parametrize(
    "url",
    [
        "https://prod-1.westeurope.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sig=x",
        "https://a1.b2.environment.api.powerplatform.com/powerautomate/automations/1?sig=x",
        "https://shop.webhook.office.com/webhookb2/1",
    ],
)
def test_teams_gets_an_adaptive_card(url: str) -> None:
    sent_to, body = request_of(url, OUTCOME)
    assert sent_to == url
    assert body["type"] == "message"
    (attached,) = body["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attached["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"][0]["text"] == "a < b & c"
    assert {"title": "Status", "value": "gate_failed"} in card["body"][1]["facts"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hc-ping.com/uuid", "https://hc-ping.com/uuid/3"),
        ("https://hc-ping.com/key/slug/?create=1", "https://hc-ping.com/key/slug/3?create=1"),
        (
            "https://checks.example.org/ping/uuid/{exit_code}",
            "https://checks.example.org/ping/uuid/3",
        ),
        ("https://nosnch.in/x?s={exit_code}", "https://nosnch.in/x?s=3"),
        ("https://evil-hc-ping.com/uuid", "https://evil-hc-ping.com/uuid"),
        ("https://example.org/hooks.slack.com", "https://example.org/hooks.slack.com"),
    ],
)
def test_a_dead_mans_switch_gets_the_exit_code(url: str, expected: str) -> None:
    """There a call without it is a success, whatever is in its body."""
    assert request_of(url, OUTCOME) == (expected, OUTCOME)


def test_a_message_goes_through_a_proxy(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As companies have them; so a host that we cannot reach is seen being called."""
    with webhook() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        duckdb_shop.publish(NOTIFY_URL="http://hooks.slack.com/services/x", NOTIFY_ON="always")
    assert proxy.paths == ["http://hooks.slack.com/services/x"]
    assert proxy.bodies[0]["text"].endswith(duckdb_shop.star.runs()[0][0])


def test_an_address_may_have_a_login(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    with webhook() as hook:
        url = f"http://etl:s3cr3t%40@127.0.0.1:{hook.port}/hook"
        code, out, err = run_command(duckdb_shop, capsys, NOTIFY_URL=url, NOTIFY_ON="always")
    assert code == 0
    assert hook.paths == ["/hook"]
    assert hook.headers[0]["Authorization"] == "Basic ZXRsOnMzY3IzdEA="
    assert hook.headers[0]["Host"] == f"127.0.0.1:{hook.port}"
    assert "s3cr3t" not in duckdb_shop.log + out + err


def test_a_process_of_its_own_has_told_before_it_ends(duckdb_shop: Retailer) -> None:
    with webhook() as hook:
        env = duckdb_shop.env_file(NOTIFY_URL=hook.url, NOTIFY_ON="always")
        ended = in_a_child("--env-file", env, "--json")
        assert ended.code == 0
    assert [body["run_id"] for body in hook.bodies] == [ended.results["run_id"]]


def test_a_notebook_notifies_too(duckdb_shop: Retailer) -> None:
    with webhook() as hook:
        results = duckdb_shop.publish(NOTIFY_URL=hook.url, NOTIFY_ON="always")
        assert duckdb_shop.publish(NOTIFY_URL=hook.url, NOTIFY_ON="always")["repeats_run"]
    first, second = hook.bodies
    assert first["run_id"] == results["run_id"]
    assert "nothing is new" in second["text"]

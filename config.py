"""Settings: one frozen object, built from `star.toml`, `.env` and the environment.

Each setting is documented where it is defined; `python config.py` prints `.env.example` from
here and a test keeps the file equal. Every problem is reported at once, and never a value that
may hold a secret.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    SkipValidation,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from sqlalchemy import URL, make_url

from common import setting_checks as checks
from common.order_settings import join_problems, joined_sources, with_values_of_lines
from common.rates import Rate
from common.setting_display import differing, settings_html, told
from common.setting_errors import explained, unknown_names
from common.setting_files import nested, read_env_file, read_star_file
from common.setting_kinds import kind_of
from common.setting_texts import parse_moment, parse_span
from common.source_settings import Join, Masked, Settings, SourceSettings
from common.star_model import Star
from common.urls import FILE_SCHEMES, parse_url
from errors import ConfigError
from schema import STAR

_LONGEST_NAME = 63  # of a schema: PostgreSQL cuts off the rest, and would not find it again

DatabaseUrl = Annotated[URL, BeforeValidator(parse_url), Masked]
WarehouseUrl = Annotated[DatabaseUrl, AfterValidator(checks.known_engine)]
TimeZone = Annotated[str, AfterValidator(checks.known_zone)]
PhoneRegion = Annotated[str, AfterValidator(checks.known_region)]
WebAddress = Annotated[SecretStr, AfterValidator(checks.web_address)]
Scheduler = Annotated[str, AfterValidator(checks.scheduler_address)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(checks.in_capitals)]
Folder = Annotated[Path | None, BeforeValidator(checks.none_if_blank)]
_BLANK_SAYS_NONE = ("REPORTS_DIR",)
"""Settings whose default is something, and for which blank is a value: none."""


def _cores() -> int:
    """How many cores this process may use: a container, or `taskset`, may leave it fewer than the
    machine has.
    """
    if hasattr(os, "sched_getaffinity"):  # macOS has no such call
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class StarSchemaConfig(Settings):
    """All settings of a run, and the star that it loads. Frozen; secrets are masked in its repr."""

    star: SkipValidation[Star] = Field(
        STAR, exclude=True, repr=False, description="tables and sources; no setting, but a value"
    )
    star_file: Path | None = Field(
        None,
        description="file with settings as tables, beneath .env and the environment; star.toml, if "
        "it is there, when not set",
    )
    warehouse_url: WarehouseUrl = Field(
        default_factory=lambda: make_url("duckdb:///data/warehouse.duckdb"),
        description="SQLAlchemy URL: a DuckDB file, or postgresql+psycopg2://user:password@host/db",
    )
    warehouse_schema: str | None = Field(
        None, description="schema to create and use; the engine's default when not set"
    )
    sources: dict[str, SourceSettings] = Field(
        {}, validate_default=True, description="where each source is, and how it is read"
    )
    business_timezone: TimeZone = Field(
        "UTC", description="where a timestamp with an offset gets its calendar date"
    )
    phone_region: PhoneRegion = Field(
        "US", description="region of phone numbers without a country code"
    )
    price_tier_high: Decimal = Field(
        Decimal(200), ge=0, description="price from which a product is High"
    )
    price_tier_medium: Decimal = Field(
        Decimal(50), ge=0, description="price from which a product is Medium"
    )
    default_cost_ratio: Rate = Field(
        Decimal("0.70"), ge=0, description="cost as a share of the price when the cost is missing"
    )
    orphan_policy: Literal["infer", "reject"] = Field(
        "infer",
        description="a fact whose customer, product or rep is unknown: infer a member, or reject",
    )
    accept_returns: bool = Field(False, description="allow quantity < 0")
    accept_free_items: bool = Field(False, description="allow unit price = 0")
    max_reject_rate: Rate = Field(
        Decimal("0.05"), ge=0, le=1, description="share of rejected rows that stops the load"
    )
    max_delete_rate: Rate = Field(
        Decimal("0.05"),
        ge=0,
        le=1,
        description="share of the star's rows in scope that may go because they are not in the "
        "input; more stop the load",
    )
    warn_reject_rate: Rate = Field(
        Decimal("0.01"),
        ge=0,
        le=1,
        description="share of rejected rows above which even --quiet says so",
    )
    keep_changes: bool = Field(
        True, description="keep in etl_change what a run overwrites or removes"
    )
    keep_personal_changes: bool = Field(
        False, description="of names, contacts and addresses keep the values too"
    )
    batch_rows: int = Field(250_000, ge=1, description="rows in one batch")
    workers: int = Field(
        default_factory=_cores,
        ge=1,
        description="parallel workers; when not set, the number of cores that the run may use",
    )
    dask_scheduler: Scheduler | None = Field(
        None,
        description="address of a Dask cluster that reads and cleans: tls://host:8786, or "
        "tcp://127.0.0.1:8786 on this machine; see docs/cluster.md",
    )
    lock_timeout_seconds: int = Field(
        10, ge=1, description="how long a statement waits for somebody else's lock on the star"
    )
    retry_seconds: int = Field(
        60,
        ge=0,
        description="how long a server that is starting, full or away is waited for, and a load "
        "that it disturbed is tried again, four times at most",
    )
    log_file: Path = Field(Path("logs/etl.log"), description="detailed log")
    log_level: Level = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["text", "json"] = Field(
        "text", description="of the log: lines of text, or a JSON object a line"
    )
    log_keep_days: int = Field(
        90, ge=0, description="how long older logs are kept, one file a day; 0: for ever"
    )
    rejects_dir: Path = Field(
        Path("data/rejects"), description="one folder of reject files per run"
    )
    rejects_keep_days: int = Field(
        90, ge=0, description="how long the reject files of a run are kept; 0: for ever"
    )
    changes_keep_days: int = Field(
        400, ge=0, description="how long etl_change keeps what a run has changed; 0: for ever"
    )
    reports_dir: Folder = Field(
        Path("data/reports"), description="where each run writes a page of its own; blank: none"
    )
    reports_keep: int = Field(
        30, ge=0, description="of how many runs the pages are kept; 0: of all"
    )
    report_personal: bool = Field(
        False, description="show names, contacts and addresses in these pages"
    )
    notify_url: WebAddress | None = Field(
        None,
        description="webhook that hears how a run ended; see docs/night-watch.md",
    )
    notify_on: Literal["failure", "warning", "always"] = Field(
        "failure", description="of which outcomes NOTIFY_URL hears: failure, warning or always"
    )
    work_dir: Path = Field(
        Path("data/work"), description="spill of a run in progress; emptied when it ends"
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _each_source(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Settings for every source of the star; one that is only partly set keeps its path."""
        star: Star = info.data["star"]
        given = with_values_of_lines(given)
        paths = {source.name: source.path for source in star.sources}
        paths |= dict.fromkeys(joined_sources(given.values()))
        unknown = given.keys() - paths.keys()
        if unknown:
            raise ValueError(f"names what is no source: {', '.join(sorted(unknown))}")
        return {
            name: {"path": path, **settings}
            if isinstance(settings := given.get(name, {}), dict)
            else settings
            for name, path in paths.items()
        }

    @model_validator(mode="after")
    def _complete(self) -> StarSchemaConfig:
        problems = [
            f"{source.name.upper()}__PATH is missing"
            for source in self.star.sources
            if source.is_required and self.source(source.name).path is None
        ]
        problems += [
            f"{name.upper()}__QUERY is missing: {path.drivername}:// in {name.upper()}__PATH is "
            f"taken for a database; files have a path, or a URL of {', '.join(FILE_SCHEMES)}"
            for name, settings in self.sources.items()
            if isinstance(path := settings.path, URL) and not settings.query
        ]
        problems += [*self.source_problems(), *join_problems(self.sources, self.star)]
        name = self.warehouse_schema or ""
        if len(name.encode()) > _LONGEST_NAME or {".", "%"} & set(name):
            problems.append(
                f"WAREHOUSE_SCHEMA must have no '.' or '%', and no more than {_LONGEST_NAME} bytes"
            )
        if self.price_tier_medium > self.price_tier_high:
            problems.append("PRICE_TIER_MEDIUM is above PRICE_TIER_HIGH")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def source_problems(self) -> list[str]:
        """What contradicts itself in the settings of a source."""
        return [
            problem
            for source in self.star.sources
            for problem in self.source(source.name).problems(
                source.name.upper(), has_dates=source.describes_facts
            )
        ]

    @property
    def place(self) -> str:
        """Where the star is, for people."""
        schema = f", schema {self.warehouse_schema}" if self.warehouse_schema else ""
        return f"{told(self.warehouse_url)}{schema}"

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Where the star is, and what differs from the default; no secret."""
        found = {"WAREHOUSE_URL": self.warehouse_url, **differing(self, self._known)}
        yield from ((name, told(value)) for name, value in found.items())

    def _repr_html_(self) -> str:
        return settings_html(self.place, differing(self, self._known), self._known)

    @property
    def _known(self) -> dict[str, tuple[Any, str]]:
        return setting_names(self.star, tuple(joined_sources(self.sources.values())))

    def source(self, name: str) -> SourceSettings:
        """The settings of the source called `name`."""
        return self.sources[name]

    @property
    def join(self) -> Join | None:
        """Where the orders of the sales are, if they have a source of their own."""
        return self.source(self.star.sales.name).join

    @property
    def folded_keys(self) -> frozenset[str]:
        """The keys of members for which the case of letters makes no difference."""
        folding = {name for name, source in self.sources.items() if source.key_case == "fold"}
        is_all = self.star.sales.name in folding
        return frozenset(s.key for s in self.star.members if is_all or s.name in folding)

    def with_source(self, name: str, **changed: Any) -> StarSchemaConfig:
        """The same settings, but for some of one source."""
        settings = self.source(name).model_copy(update=changed)
        return self.model_copy(update={"sources": {**self.sources, name: settings}})

    def for_run(
        self, *, full_refresh: bool = False, since: object = None, until: object = None
    ) -> StarSchemaConfig:
        """The settings of one run by its options: with `full_refresh` each source is a full
        extract, and any number of rows may go; `since` and `until` are the period of sources with
        EXTRACT=period.

        Raises `ConfigError` for options that no source uses, and for a period that nobody set.
        """
        config = self.in_full() if full_refresh else self
        of_period = [n for n, s in config.sources.items() if s.extract == "period"]
        try:
            parse_moment(since)
            period = parse_span(since, until) if of_period else None
        except ValueError as error:
            raise ConfigError([f"--since, --until: {error}"]) from None
        for name in of_period if period else []:
            config = config.with_source(name, period=period)
        problems = config.source_problems()
        problems += [
            f"{name.upper()}__PERIOD is missing for {name.upper()}__EXTRACT=period; or give "
            "--since and --until"
            for name in of_period
            if config.source(name).period is None
        ]
        is_used = of_period or any(s.watermark for s in config.sources.values())
        if since is not None and not is_used:
            problems.append("--since: no source has a WATERMARK or EXTRACT=period")
        if until is not None and not of_period:
            problems.append("--until: no source has EXTRACT=period")
        if problems:
            raise ConfigError(problems)
        return config

    def for_workers(self) -> StarSchemaConfig:
        """The same settings without secrets: neither where warehouse, sources and webhook are."""
        secret: dict[str, Any] = dict.fromkeys(("warehouse_schema", "notify_url"))
        nowhere = {"warehouse_url": make_url("duckdb:///:memory:"), **secret}
        config = self.model_copy(update=nowhere)
        for name in self.sources:
            config = config.with_source(name, path=None, query=None)
        return config

    def in_full(self) -> StarSchemaConfig:
        """The same settings, but each source is a full extract, and any number of rows may go."""
        config = self.model_copy(update={"max_delete_rate": Decimal(1)})
        for name, settings in self.sources.items():
            if settings.path is not None:
                config = config.with_source(name, extract="full")
        return config


def load_config(
    env_file: str | Path | None = ".env",
    environment: Mapping[str, str] | None = None,
    star: Star = STAR,
) -> StarSchemaConfig:
    """Settings from `star.toml` (or the file that STAR_FILE names), overridden by `env_file`
    (absent is fine), and by the environment; `star` says which sources there are.

    Raises `ConfigError` listing every problem at once; no message holds a setting's value
    unless it is harmless.
    """
    from_file, problems = ({}, []) if env_file is None else read_env_file(Path(env_file))
    from_environment = os.environ if environment is None else environment
    given = {
        name.upper(): value
        for name, value in {**from_file, **from_environment}.items()
        if (value and (value.strip() or name.upper().endswith("__DELIMITER")))
        or (value is not None and name.upper() in _BLANK_SAYS_NONE)
    }
    file = read_star_file(given.get("STAR_FILE"))
    joins = [{"join": value} for name, value in given.items() if name.endswith("__JOIN")]
    known = setting_names(star, tuple(joined_sources([*file.sources.values(), *joins])))
    problems += unknown_names(from_file, known, strict=True)
    problems += unknown_names(from_environment, known, strict=False)
    from_tables, places, wrong = file.usable(setting_kinds(known))
    problems += wrong
    given = {name: value for name, value in given.items() if name in known}
    places = {name: place for name, place in places.items() if name not in given}
    try:
        config = checked({**from_tables, **given}, star, places)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems) from None
    return config


def checked(
    given: Mapping[str, Any], star: Star = STAR, places: Mapping[str, str] | None = None
) -> StarSchemaConfig:
    """Settings from their values, by names as in `.env`; `places` says where some of them stand.

    Raises `ConfigError` listing every problem at once.
    """
    try:
        return StarSchemaConfig.model_validate({"star": star, **nested(given)})
    except ValidationError as error:
        raise ConfigError(
            [line for detail in error.errors() for line in explained(detail, places or {})]
        ) from None


def setting_kinds(names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What a value of each setting may be in `star.toml`, as JSON Schema."""
    fields = {**StarSchemaConfig.model_fields, **SourceSettings.model_fields}
    parts = {name: name.rpartition("__")[2].lower() for name in names if name != "STAR_FILE"}
    return {name: kind_of(part, fields[part]) for name, part in parts.items()}


@functools.cache
def setting_names(star: Star = STAR, joined: tuple[str, ...] = ()) -> dict[str, tuple[Any, str]]:
    """Every setting: name -> (default, one line of meaning), in declared order. `joined` are the
    sources that hold the orders of another one.
    """
    defaults = StarSchemaConfig(star=star)
    settings: dict[str, tuple[Any, str]] = {}
    for name, field in StarSchemaConfig.model_fields.items():
        if name not in ("star", "sources"):
            settings[name.upper()] = (getattr(defaults, name), field.description or "")
            continue
        for source in star.sources if name == "sources" else ():
            for part, inner in SourceSettings.model_fields.items():
                if part == "currency" and not source.amounts:
                    continue
                if part == "join" and not source.describes_facts:
                    continue
                default = getattr(defaults.source(source.name), part)
                settings[f"{source.name.upper()}__{part.upper()}"] = (
                    default,
                    inner.description or "",
                )
    for name in joined:
        for part, inner in SourceSettings.model_fields.items():
            settings[f"{name.upper()}__{part.upper()}"] = (inner.default, inner.description or "")
    return settings


def env_example() -> str:
    """The text of `.env.example`: every setting with its default and one line of meaning."""
    lines = [
        "# Settings of the star-schema ETL. Copy to .env and keep the lines that you change: each",
        "# line there has precedence over star.toml.",
    ]
    for name, (default, meaning) in setting_names().items():
        if default is None or name == "WORKERS":  # the number of cores differs by machine
            text = ""
        elif isinstance(default, list | dict):
            text = "'{}'".format(json.dumps(default).replace("\\", r"\\"))
        else:
            text = str(default).lower() if isinstance(default, bool) else str(default)
            text = f"'{text}'" if '"' in text else text
        lines += ["", f"# {meaning[0].upper()}{meaning[1:]}", f"{name}={text}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())

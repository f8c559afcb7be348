"""A small shop whose nightly files a test changes and loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from config import StarSchemaConfig, load_config
from main import StarSchemaETLPipeline
from support.star import Star
from support.tables import Row, csv_rows, drawn, to_csv

FILES = {
    "customers": "customers.csv",
    "products": "products.json",
    "transactions": "sales.csv",
    "sales_reps": "reps.csv",
}


def _customers() -> list[Row]:
    return drawn("""
        customer_id | first_name | last_name | email           | city   | country | segment
        C1          | Ada        | Lovelace  | ada@example.org | London | GB      | Consumer
        C2          | Alan       | Turing    |                 | Munich | DE      | Business
    """)


def _products() -> list[Row]:
    return [
        {"product_id": "P1", "name": "Lamp", "category": "Home", "brand": "Lux", "price": 250,
         "cost": 100, "specifications": {"watt": 9}},
        {"product_id": "P2", "name": "Pen", "category": "Office", "brand": "Ink", "price": 60,
         "cost": None, "specifications": None},
    ]  # fmt: skip


def _sales() -> list[Row]:
    return drawn("""
        transaction_id | transaction_date | customer_id | product_id | quantity | unit_price | sales_rep_id | discount_amount
        T1             | 2024-02-29       | C1          | P1         | 2        | 250.00     | grace_hopper | 0
        T2             | 2024-03-01       | C2          | P2         | 3        | 59.99      | grace_hopper | 9.9975
        T3             | 2024-03-02       | C1          | P2         | 1        | 60.00      | john_backus  | 0
    """)  # noqa: E501


@dataclass
class Retailer:
    """A small shop without a fault; a test changes what it is about and runs the pipeline.

    Its sources are lists of rows, written as files before each run. `files` holds what is
    written instead, byte for byte, for some of them; None leaves a file out.
    """

    folder: Path
    star: Star
    customers: list[Row] = field(default_factory=_customers)
    products: list[Row] = field(default_factory=_products)
    sales: list[Row] = field(default_factory=_sales)
    reps: list[Row] | None = None
    files: dict[str, str | bytes | None] = field(default_factory=dict)
    nights: int = 0

    def path(self, source: str) -> Path:
        """Where the file of a source is."""
        return self.folder / FILES[source]

    @property
    def log(self) -> str:
        """All that the log file says."""
        return (self.folder / "etl.log").read_text(encoding="utf-8")

    def settings(self, **changed: object) -> dict[str, str]:
        """Settings for this folder and warehouse. Rejects are accepted without limit."""
        self._write()
        paths = {
            f"{source.upper()}__PATH": str(self.path(source))
            for source in FILES
            if source != "sales_reps" or self.reps is not None
        }
        return {
            **self.star.settings,
            **paths,
            "LOG_FILE": str(self.folder / "etl.log"),
            "REJECTS_DIR": str(self.folder / "rejects"),
            "WORK_DIR": str(self.folder / "work"),
            "REPORTS_DIR": "",  # a page takes half a second; tests of pages set it
            "MAX_REJECT_RATE": "1",
            "WORKERS": "2",
            **{name: str(value) for name, value in changed.items()},
        }

    def config(self, **changed: object) -> StarSchemaConfig:
        """The configuration for a run over the sources as they are now."""
        return load_config(env_file=None, environment=self.settings(**changed))

    def run(
        self,
        pipeline: Callable[..., StarSchemaETLPipeline] = StarSchemaETLPipeline,
        /,
        **changed: object,
    ) -> Row:
        """Run the pipeline over the sources as they are now; returns its summary."""
        return pipeline(self.config(**changed), quiet=True).run_full_pipeline()

    def publish(self, **changed: object) -> Row:
        """Run, and see that it was published."""
        results = self.run(StarSchemaETLPipeline, **changed)
        assert results["errors"] == []
        assert results["status"] == "published"
        return results

    def publish_in_full(self, **changed: object) -> Row:
        """Publish again through every phase: a limit of rejects in another spelling is another
        setting, so that the same input is not recognised as such.
        """
        self.nights += 1
        return self.publish(**{"MAX_REJECT_RATE": "1." + "0" * self.nights, **changed})

    def env_file(self, **changed: object) -> str:
        """The path of a settings file, for the command line."""
        path = self.folder / "shop.env"
        lines = [f"{name}='{value}'\n" for name, value in self.settings(**changed).items()]
        path.write_text("".join(lines), encoding="utf-8")
        return str(path)

    def rejects(self, results: Row, source: str = "transactions") -> list[dict[str, str]]:
        """The reject file of a source, in the order of its lines; empty when there is none."""
        path = Path(results["rejects_dir"]) / f"{source}.csv"
        return sorted(csv_rows(path), key=lambda row: int(row["_line"])) if path.exists() else []

    def reasons(self, results: Row, source: str = "transactions") -> list[str]:
        """The reject reasons of a source, in the order of its lines."""
        return [row["_reason"] for row in self.rejects(results, source)]

    def _write(self) -> None:
        given = {
            "customers": self.customers,
            "products": self.products,
            "transactions": self.sales,
            "sales_reps": self.reps,
        }
        for source, rows in given.items():
            content: str | bytes | None
            if source in self.files:
                content = self.files[source]
            elif source == "products":
                content = json.dumps(rows, default=str)
            else:
                content = to_csv(rows) if rows else None
            path = self.path(source)
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content.encode() if isinstance(content, str) else content)


def tomorrow(shop: Retailer) -> None:
    """The shop's files a day later: a new sale and customer, a corrected sale, a moved customer."""
    shop.customers[0]["city"] = "Paris"
    shop.customers += drawn("""
        customer_id | first_name | last_name | email | city | country | segment
        C3          | Grace      | Hopper    |       | Rome | IT      | Consumer
    """)
    shop.sales[0]["quantity"] = "7"
    shop.sales.append({**shop.sales[0], "transaction_id": "T4", "customer_id": "C3"})


SHRINKING = {
    "TRANSACTIONS__EXTRACT": "full", "CUSTOMERS__EXTRACT": "full", "MAX_DELETE_RATE": "1",
}  # fmt: skip
"""Settings by which what the files lack is gone."""


def shrink(shop: Retailer) -> None:
    """Whole tables of today: a sale is absent, one is flagged, and a customer has vanished."""
    for sale in shop.sales:
        sale["is_deleted"] = ""
    shop.sales[2]["is_deleted"] = "yes"
    del shop.sales[1], shop.customers[1]


def a_day_later(shop: Retailer) -> Retailer:
    """The shop, whose files of yesterday are published, with those of today."""
    shop.publish()
    tomorrow(shop)
    return shop


def counts(results: Row, table: str) -> tuple[int, int, int]:
    """Inserted, updated and unchanged rows of a table, as the summary tells them."""
    if table == "fact_sales":
        facts = results["fact_loading_results"]
        told = [facts[f"records_{kind}"] for kind in ("inserted", "updated", "unchanged")]
    else:
        dimension = results["dimension_loading_results"][table]
        told = [dimension[kind] for kind in ("inserted", "updated", "unchanged")]
    inserted, updated, unchanged = told
    return inserted, updated, unchanged


def changes(results: Row) -> int:
    """How many rows a run inserted, inferred or updated, in all tables."""
    dimensions = results["dimension_loading_results"].values()
    in_dimensions = sum(d["inserted"] + d["updated"] + d["inferred"] for d in dimensions)
    return int(in_dimensions + sum(counts(results, "fact_sales")[:2]))


RECOGNISED = "and the star is as it left it"


def recognised(shop: Retailer) -> int:
    """How many runs of the shop were recognised as repetitions."""
    return shop.log.count(RECOGNISED)

"""The recipes of docs/recipes.md give the sales that they show."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
import sqlalchemy as sa

from config import load_config
from main import StarSchemaETLPipeline
from proposal.model import Proposal, SourceProposal
from proposal.proof import prove
from support.application import ROOT
from support.shop_exports import amazon, shopify, square, stripe
from support.shops import Shop
from support.star import Star

RECIPES = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", RECIPES, re.MULTILINE))
FILES = re.compile(
    r"^`(in/[^`]+)`(?:, sheet `(\w+)`)?[^\n]*:\n\n```\w+\n(.*?)```", re.DOTALL | re.MULTILINE
)
SALES = (
    "SELECT transaction_id, full_date, customer_id, product_id, net_amount FROM fact_sales "
    "JOIN dim_date USING (date_key) JOIN dim_customer USING (customer_key) "
    "JOIN dim_product USING (product_key) ORDER BY transaction_id"
)


def block(text: str, kind: str) -> str:
    """What stands between ```kind and ```, of which there is one."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return str(found)


def write_files(text: str, folder: Path) -> None:
    """The files that a recipe shows."""
    for path, sheet, content in FILES.findall(text):
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        if not sheet:
            file.write_text(content, encoding="utf-8")
            continue
        book = openpyxl.load_workbook(file) if file.exists() else openpyxl.Workbook()
        page = book.create_sheet(sheet) if file.exists() else book.active
        page.title = sheet
        for row in csv.reader(content.splitlines()):
            page.append([cell or None for cell in row])
        book.save(file)


@pytest.fixture
def shop_database(postgresql_url: str) -> Iterator[str]:
    """The URL of a shop's own tables."""
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA recipe_shop")
        connection.exec_driver_sql("SET LOCAL search_path = recipe_shop")
        connection.exec_driver_sql(block(SECTIONS["A shop in PostgreSQL"], "sql"))
    url = engine.url.update_query_dict({"options": "-csearch_path=recipe_shop"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA recipe_shop CASCADE")


@pytest.mark.parametrize("name", SECTIONS)
def test_a_recipe_gives_the_sales_that_it_shows(
    name: str, star: Star, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = SECTIONS[name]
    write_files(text, tmp_path)
    settings = {**star.settings, "LOG_FILE": str(tmp_path / "etl.log")}
    if "```sql" in text:
        url = request.getfixturevalue("shop_database")
        settings |= {f"{s}__PATH": url for s in ("TRANSACTIONS", "CUSTOMERS", "PRODUCTS")}
    (tmp_path / "star.toml").write_text(block(text, "toml"), encoding="utf-8")
    config = load_config(None, {**settings, "STAR_FILE": str(tmp_path / "star.toml")})
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert results["errors"] == []
    shown = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)[2:]
    ]
    assert [(*map(str, row[:4]), f"{row[4]:.2f}") for row in star.rows(SALES)] == shown
    assert not [path for path in Path(results["rejects_dir"]).glob("*.csv") if path.exists()]


@pytest.mark.parametrize("export", [shopify, amazon, square, stripe], ids=lambda e: e.__name__)
def test_a_recipe_fits_some_hundred_sales_of_its_system(
    export: Callable[[Path], Shop], tmp_path: Path
) -> None:
    """As far as the sales go: the settings of the page, with the file of the generator."""
    shop = export(tmp_path / "in")
    page = tomllib.loads(block(SECTIONS[export.__name__.title()], "toml"))
    settings = page["sources"]["transactions"]
    path = max((tmp_path / "in").iterdir(), key=lambda file: file.stat().st_size)
    del settings["path"]
    general = {name: v for name, v in page.items() if name not in ("version", "sources")}
    source = SourceProposal("transactions", str(path), settings)
    config = load_config(None, {"WORK_DIR": str(tmp_path / "work")})
    proof = prove(Proposal({"transactions": source}, general), config)
    sales = proof.sources["transactions"]
    assert sum(sales.net.values()) == shop.net, proof
    assert not sales.rejected

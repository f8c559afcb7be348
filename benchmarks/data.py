"""The measured data, made once per size, and what a right load of it must arrive at."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tools import sample_data

ROOT = Path(__file__).parents[1]
SALES = "sales_transactions.csv"
MOVED_TO = "Newtown"
"""The city of customers that a night changes; no other customer lives there."""
REPS = 50
MORE = 10
"""What a correction adds to a quantity: more than any sold, so it differs from every version."""

# A sale that is loaded as it stands, if its id is the only one of its kind.
_PLAIN = re.compile(
    r"(T\d{8}),(?!2024-02-30)202[45]-\d\d-\d\d(?:T[\d:]{8})?,\w*,P\d+,[^,\0]*,"
    r"([1-9]\d*),([1-9]\d*\.\d\d),(\d+\.\d{2,4})\n"
)


@dataclass(frozen=True)
class Totals:
    """Exact sums over the fact table."""

    rows: int
    quantity: Decimal
    gross: Decimal
    discount: Decimal

    @property
    def net(self) -> Decimal:
        return self.gross - self.discount

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.rows + other.rows,
            self.quantity + other.quantity,
            self.gross + other.gross,
            self.discount + other.discount,
        )


@dataclass(frozen=True)
class Bench:
    """The files of one size and the generator's truth about them."""

    rows: int
    folder: Path
    truth: dict[str, Any]

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def night(self) -> Path:
        return self.folder / "night"

    @property
    def loaded(self) -> Totals:
        return _totals(self.truth["base"]["transactions"])

    @property
    def loaded_after_night(self) -> Totals:
        new = _totals(self.truth["new"]["transactions"])
        return self.loaded + new + Totals(0, *map(Decimal, self.truth["corrections"][1:]))


def prepare(rows: int) -> Bench:
    """The data of this size in data/bench/, generated unless it is there already."""
    folder = ROOT / "data" / "bench" / str(rows)
    kept, maker = folder / "truth.json", _maker()
    if not kept.is_file() or json.loads(kept.read_text())["maker"] != maker:
        kept.unlink(missing_ok=True)
        truth = {"maker": maker, **_generate(folder, rows)}
        kept.write_text(json.dumps(truth, indent=2) + "\n")
    return Bench(rows, folder, json.loads(kept.read_text()))


def _maker() -> str:
    sources = Path(sample_data.__file__).read_bytes() + Path(__file__).read_bytes()
    return hashlib.sha256(sources).hexdigest()


def _totals(truth: dict[str, Any]) -> Totals:
    sums = (Decimal(truth[name]) for name in ("quantity", "gross", "discount"))
    return Totals(truth["loaded"], *sums)


def _generate(folder: Path, rows: int) -> dict[str, Any]:
    customers = min(max(rows // 50, 500), 100_000)
    products = min(max(rows // 500, 120), 5_000)
    new_sales, corrected = min(rows // 100, 100_000), min(rows // 1000, 10_000)
    base, night = folder / "base", folder / "night"
    truth = sample_data.generate(base, rows, customers, products, REPS)
    new = sample_data.generate(night, new_sales, customers, products, REPS, seed=43)
    (night / "products.json").unlink()
    (night / "products.csv").write_text("product_id\n")  # no product has changed
    moved = _write_moved(
        base / "customers.csv", night / "customers.csv", min(1000, customers // 10)
    )
    choice = _correctable(base / SALES, max(1, rows // corrected // 2))
    corrections = [choice[n * len(choice) // corrected] for n in range(corrected)]
    lines = (night / SALES).read_bytes().replace(b"\nT", b"\nN")  # ids of their own
    lines += "".join(line for line, _ in corrections).encode()
    (night / SALES).write_bytes(lines)
    more = (MORE * len(corrections), sum((MORE * price for _, price in corrections), Decimal(0)))
    return {
        "base": truth,
        "new": new,
        "corrections": [len(corrections), *map(str, more), "0"],
        "moved": moved,
    }


def _write_moved(source: Path, target: Path, count: int) -> int:
    """Copy customers whose ids occur once, with another city."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[20 : 20 + count]  # the first 20 may come again
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"city": MOVED_TO} for row in rows)
    return len(rows)


def _correctable(path: Path, step: int) -> list[tuple[str, Decimal]]:
    """Every step-th sale with another quantity, and its price; no sale whose id occurs twice.

    Line n holds sale n, unless it repeats an earlier one.
    """
    found: dict[str, tuple[str, Decimal]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        next(file)
        for number, line in enumerate(file, 1):
            key = line[:9]
            if key != f"T{number:08d}":
                found.pop(key, None)
            elif number % step == 0 and (match := _PLAIN.fullmatch(line)):
                quantity, price = int(match[2]), Decimal(match[3])
                if quantity * price >= Decimal(match[4]):
                    more = f"{line[: match.start(2)]}{quantity + MORE}{line[match.end(2) :]}"
                    found[key] = (more, price)
    return list(found.values())

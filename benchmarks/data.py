"""The measured data, made once per size, and what a right load of it must arrive at."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from decimal import Decimal
from itertools import compress
from pathlib import Path
from typing import Any, cast

from tools import sample_data

ROOT = Path(__file__).parents[1]
SALES = "sales_transactions.csv"
MOVED_TO = "Newtown"
"""The city of customers that a night changes; no other customer lives there."""
REPS = 50
MORE = 10
"""What a correction adds to a quantity: more than any sold, so it differs from every version."""
GONE = 10
"""In hundredths: how many of the loaded sales the whole table of a later night lacks."""

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
    def removal(self) -> Path:
        return self.folder / "removal"

    @property
    def loaded(self) -> Totals:
        return _totals(self.truth["base"]["transactions"])

    @property
    def loaded_after_night(self) -> Totals:
        new = _totals(self.truth["new"]["transactions"])
        return self.loaded + new + Totals(0, *map(Decimal, self.truth["corrections"][1:]))

    @property
    def loaded_after_removal(self) -> Totals:
        return _totals(self.truth["removal"])


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
    loaded = cast("dict[str, int]", truth["transactions"])["loaded"]
    lines = (night / SALES).read_bytes().replace(b"\nT", b"\nN")  # ids of their own
    lines += "".join(line for line, _ in corrections).encode()
    (night / SALES).write_bytes(lines)
    more = (MORE * len(corrections), sum((MORE * price for _, price in corrections), Decimal(0)))
    return {
        "base": truth,
        "new": new,
        "corrections": [len(corrections), *map(str, more), "0"],
        "moved": moved,
        "removal": _write_removal(base, folder / "removal", loaded, corrected),
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


def _write_removal(base: Path, folder: Path, loaded: int, corrected: int) -> dict[str, Any]:
    """The whole table of a later night, and what is then in the star. It lacks some of the sales,
    and has others with another quantity; every key in it can be read, else nothing would go.
    """
    folder.mkdir(exist_ok=True)
    for name in ("customers.csv", "products.json"):
        shutil.copy(base / name, folder / name)
    plain = _plain_lines(base / SALES)
    wanted, there = loaded - loaded * GONE // 100, sum(plain)
    quantity, gross, discount, place, kept = 0, Decimal(0), Decimal(0), 0, 0
    with (
        (base / SALES).open(encoding="utf-8", newline="") as lines,
        (folder / SALES).open("w", encoding="utf-8", newline="") as left,
    ):
        left.write(next(lines))
        for line in compress(lines, plain):
            place += 1
            if place * wanted // there == kept:  # evenly spread over the file
                continue
            kept += 1
            match = cast("re.Match[str]", _PLAIN.fullmatch(line))
            pieces = int(match[2])
            if kept * corrected // wanted != (kept - 1) * corrected // wanted:
                pieces += MORE
            left.write(f"{line[: match.start(2)]}{pieces}{line[match.end(2) :]}")
            quantity, gross = quantity + pieces, gross + pieces * Decimal(match[3])
            discount += Decimal(match[4])
    return {
        "loaded": kept, "quantity": str(quantity), "gross": str(gross), "discount": str(discount),
        "corrected": corrected, "removed": loaded - kept,
    }  # fmt: skip


def _plain_lines(path: Path) -> bytearray:
    """Of each line behind the header whether it is loaded as it stands: 1 or 0."""
    plain = bytearray()
    with path.open(encoding="utf-8", newline="") as file:
        next(file)
        for number, line in enumerate(file, 1):
            match = _PLAIN.fullmatch(line)
            is_first = line[:9] == f"T{number:08d}"
            if not is_first and re.match(r"T\d{8},", line):
                plain[int(line[1:9]) - 1] = 0  # two versions of one sale
            is_right = match is not None and int(match[2]) * Decimal(match[3]) >= Decimal(match[4])
            plain.append(is_first and is_right)
    return plain

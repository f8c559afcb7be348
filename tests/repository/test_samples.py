"""The samples in data/."""

from __future__ import annotations

from pathlib import Path

from support.application import ROOT
from tools.sample_data import generate


def test_the_samples_are_what_their_generator_makes(tmp_path: Path) -> None:
    generate(tmp_path, sales=20_000, customers=500, products=120, reps=12, seed=42)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {"customers.csv", "products.json", "sales_transactions.csv"}
    for name, content in made.items():
        assert (ROOT / "data" / name).read_bytes() == content, name

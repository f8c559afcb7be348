"""Charts as SVG that stands in a page: no script, no font and no colour of its own."""

from __future__ import annotations

from collections.abc import Mapping

import pygal


def bars(title: str, values: Mapping[str, float]) -> str:
    """A bar for each value."""
    chart = pygal.Bar(js=[], show_legend=False, disable_xml_declaration=True, title=title)
    chart.x_labels = list(values)
    chart.add("", list(values.values()))
    text: str = chart.render(is_unicode=True)
    return text

"""Charts as inline SVG, each with a title, a description, and its numbers as a table beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from txnpipe.proof.report.markup import Markup, element, join
from txnpipe.proof.report.scales import Scale, duration, of_time, short_number

WIDTH, HEIGHT = 480, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 32, 32
_BAR_ROW = 42
_KINDS = ("first", "second", "third")
_DOTS_UP_TO = 40
"""Up to so many points each is marked; a point with no neighbour always is."""


@dataclass(frozen=True)
class Series:
    """A line: its name, and a value for each point in time; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Lines:
    """Lines over time. times_s: the middle of each bucket, from 0 to span_s. unit: of the values.

    form: how a value is written in the table.
    """

    key: str
    title: str
    description: str
    unit: str
    span_s: float
    times_s: Sequence[float]
    series: Sequence[Series]
    scale: Scale
    form: Callable[[float], str]


@dataclass(frozen=True)
class Bars:
    """Named amounts, the largest first. shown: how many of them have a bar; the table has them all."""

    key: str
    title: str
    description: str
    of: str
    unit: str
    amounts: Sequence[tuple[str, int]]
    shown: int


def line_figure(chart: Lines) -> Markup:
    """A figure of lines."""
    inner = join(*_grid(chart), *(_line(chart, n) for n in range(len(chart.series))))
    legend = element(
        "ul",
        {"class": "legend"},
        *(element("li", None, _swatch(_KINDS[n]), each.name) for n, each in enumerate(chart.series)),
    )
    rows = [
        (duration(at), *("–" if each is None else chart.form(each) for each in values))
        for at, *values in zip(chart.times_s, *(series.values for series in chart.series), strict=True)
    ]
    head = ("after", *(f"{series.name}, {chart.unit}" for series in chart.series))
    return _figure(chart, HEIGHT, inner, legend, number_table(chart.title, head, rows))


def bar_figure(chart: Bars) -> Markup:
    """A figure of horizontal bars: each name and number above its bar, so that names of any length fit."""
    shown = chart.amounts[: chart.shown]
    largest = max((amount for _, amount in shown), default=0) or 1
    parts = []
    for n, (name, amount) in enumerate(shown):
        y = n * _BAR_ROW
        parts += [
            element("text", {"x": 0, "y": y + 17, "class": "name"}, name),
            element("text", {"x": WIDTH, "y": y + 17, "text-anchor": "end"}, f"{amount:,}"),
            element("line", {"x1": 0, "x2": WIDTH, "y1": y + 30, "y2": y + 30, "class": "grid"}),
            element(
                "rect",
                {"x": 0, "y": y + 24, "width": _n(amount / largest * WIDTH), "height": 12, "class": "first"},
            ),
        ]
    rows = [(name, f"{amount:,}") for name, amount in chart.amounts]
    table = number_table(chart.title, (chart.of, chart.unit), rows)
    return _figure(chart, max(len(shown), 1) * _BAR_ROW, join(*parts), None, table)


def number_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table whose columns are numbers but for the first, for the eyes and for a screen reader."""
    body = (
        element(
            "tr",
            None,
            element("th", {"scope": "row"}, first),
            *(element("td", {"class": "number"}, cell) for cell in rest),
        )
        for first, *rest in rows
    )
    return scrolling(
        caption,
        element(
            "table",
            None,
            element("caption", None, caption),
            element("thead", None, element("tr", None, *_heads(head))),
            element("tbody", None, *body),
        ),
    )


def scrolling(label: str, table: Markup) -> Markup:
    """A table that scrolls by itself where the page is narrow, by keyboard, too."""
    return element("div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": label}, table)


def _heads(names: Sequence[str]) -> Iterator[Markup]:
    for n, name in enumerate(names):
        yield element("th", {"scope": "col", "class": "number" if n else None}, name)


def _figure(
    chart: Lines | Bars, height: float, inner: Markup, legend: Markup | None, table: Markup
) -> Markup:
    names = f"{chart.key}-title", f"{chart.key}-description"
    picture = element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "chart",
            "viewBox": f"0 0 {WIDTH} {height}",
            "role": "img",
            "aria-labelledby": " ".join(names),
        },
        element("title", {"id": names[0]}, chart.title),
        element("desc", {"id": names[1]}, chart.description),
        inner,
    )
    caption = element(
        "figcaption", None, element("h2", None, chart.title), element("p", None, chart.description)
    )
    numbers = element("details", None, element("summary", None, "The numbers as a table"), table)
    return element("figure", None, caption, legend, picture, numbers)


def _grid(chart: Lines) -> Iterator[Markup]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    yield element("text", {"x": 0, "y": 16}, chart.unit)
    for tick in chart.scale.ticks:
        y = _n(_y(chart.scale, tick))
        yield element(
            "line", {"x1": _LEFT, "x2": right, "y1": y, "y2": y, "class": "grid" if tick else "axis"}
        )
        yield element(
            "text",
            {"x": _LEFT - 8, "y": y, "dy": "0.35em", "text-anchor": "end"},
            short_number(tick),
        )
    time = of_time(chart.span_s)
    for tick in time.ticks:
        x = _n(_x(chart, tick))
        yield element("line", {"x1": x, "x2": x, "y1": bottom, "y2": bottom + 5, "class": "axis"})
        yield element("text", {"x": x, "y": HEIGHT - 8, "text-anchor": "middle"}, duration(tick))


def _line(chart: Lines, number: int) -> Markup:
    kind, values = _KINDS[number], chart.series[number].values
    runs: list[list[tuple[str, str]]] = [[]]
    for at, value in zip(chart.times_s, values, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((_n(_x(chart, at)), _n(_y(chart.scale, value))))
    dots = len(values) <= _DOTS_UP_TO
    parts = []
    for run in runs:
        if len(run) > 1:
            points = " ".join(f"{x},{y}" for x, y in run)
            parts.append(element("polyline", {"points": points, "class": kind}))
        if dots or len(run) == 1:
            parts += [_mark(kind, x, y) for x, y in run]
    return join(*parts)


def _swatch(kind: str) -> Markup:
    line = element("polyline", {"points": "0,5 30,5", "class": kind})
    return element("svg", {"viewBox": "0 0 30 10", "aria-hidden": "true"}, line, _mark(kind, "15", "5"))


def _mark(kind: str, x: str, y: str) -> Markup:
    """A dot, a ring or a square: told apart without colour."""
    if kind == "second":
        return element(
            "rect", {"x": _n(float(x) - 3), "y": _n(float(y) - 3), "width": 6, "height": 6, "class": kind}
        )
    return element("circle", {"cx": x, "cy": y, "r": 3, "class": kind})


def _x(chart: Lines, seconds: float) -> float:
    return _LEFT + seconds / (chart.span_s or 1) * (WIDTH - _LEFT - _RIGHT)


def _y(scale: Scale, value: float) -> float:
    return HEIGHT - _BOTTOM - scale.place(value) * (HEIGHT - _TOP - _BOTTOM)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")

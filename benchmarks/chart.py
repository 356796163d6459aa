"""Bar charts on a logarithmic scale, as SVG, without a library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LABELS, BAR, GAP, MARGIN = 960, 380, 18, 8, 16  # pixels
_RIGHT = 110  # for what is written behind a bar
_PLAIN, _OURS, _FLOOR, _BAD = "#9aa5b1", "#1f6feb", "#57ab5a", "#cf222e"
COLOURS = {"": _PLAIN, "ours": _OURS, "floor": _FLOOR, "bad": _BAD}


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its length, what is written behind it, and which colour it has."""

    name: str
    value: float
    written: str
    kind: str = ""


@dataclass(frozen=True)
class Panel:
    """Some bars on one scale; *mark* is a value with a line through all of them."""

    title: str
    bars: Sequence[Bar]
    mark: float | None = None

    @property
    def height(self) -> int:
        return 2 * MARGIN + 24 + len(self.bars) * (BAR + GAP) + 24


def svg(panels: Sequence[Panel]) -> str:
    """Return a picture with one panel under the other."""
    height = sum(panel.height for panel in panels)
    size = f'width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        f'<rect {size} fill="#ffffff"/>',
    ]
    top = 0
    for panel in panels:
        lines += _panel(panel, top)
        top += panel.height
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, top: int) -> Iterator[str]:
    yield _text(MARGIN, top + MARGIN + 14, panel.title, weight="bold")
    first = top + MARGIN + 32
    end = first + len(panel.bars) * (BAR + GAP)
    place, low, high = _scale(panel)
    for power in range(low, high + 1):
        x = place(10.0**power)
        yield _line(x, first - 4, end, "#d8dee4")
        yield _text(x, end + 16, f"{10.0**power:g}", anchor="middle", fill="#57606a")
    for number, bar in enumerate(panel.bars):
        y = first + number * (BAR + GAP)
        length = max(place(bar.value) - LABELS, 1.0) if bar.value > 0 else 1.0
        yield _text(LABELS - 8, y + 14, bar.name, anchor="end")
        yield (f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" '
               f'fill="{COLOURS[bar.kind]}"/>')  # fmt: skip
        yield _text(LABELS + length + 6, y + 14, bar.written)
    if panel.mark is not None:
        yield _line(place(panel.mark), first - 4, end, _BAD)


def _scale(panel: Panel) -> tuple[Callable[[float], float], int, int]:
    """Return where a value stands (pixels), and the powers of ten the scale goes from and to."""
    values = [bar.value for bar in panel.bars if bar.value > 0]
    values += [panel.mark] if panel.mark is not None else []
    low = math.floor(math.log10(min(values, default=1.0)))
    high = max(math.ceil(math.log10(max(values, default=10.0))), low + 1)
    room = WIDTH - LABELS - _RIGHT
    return lambda value: LABELS + room * (math.log10(value) - low) / (high - low), low, high


def _line(x: float, top: int, bottom: int, colour: str) -> str:
    return f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}"/>'


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", fill: str = "#24292f"
) -> str:
    return (f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{fill}">{escape(words)}</text>')  # fmt: skip

"""A line for each row of `shared_grants.py`, as SVG: milliseconds over a number, on a logarithmic axis."""

import math
from collections.abc import Mapping

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 260, 52, 40, 24
COLOURS = ("#0b6bcb", "#c2410c")


def plot(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Draw the curves, from zero."""
    numbers = sorted({number for curve in curves.values() for number in curve})
    most = max(value for curve in curves.values() for value in curve.values())
    top = math.ceil(most)

    def x(number: int) -> float:
        first, last = math.log10(numbers[0]), math.log10(numbers[-1])
        return LEFT + (WIDTH - LEFT - 24) * (math.log10(number) - first) / (last - first)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">']
    parts += [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', text(8, 14, "CPU ms of one grant", "start")]
    for value in range(top + 1):
        parts += [
            f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - 24}" stroke="#ddd"/>',
            text(LEFT - 6, y(value) + 4, str(value), "end"),
        ]
    parts += [text(x(number), HEIGHT - BOTTOM + 16, f"{number:,}", "middle") for number in numbers]
    parts.append(text((LEFT + WIDTH) / 2, HEIGHT - 6, "tickets that wait, or pools in the store", "middle"))
    for colour, (name, curve), offset in zip(COLOURS, curves.items(), (-8, 16), strict=True):
        points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in sorted(curve.items()))
        last = max(curve)
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            text(x(last), y(curve[last]) + offset, name, "end", colour),
        ]
    return "\n".join([*parts, "</svg>\n"])


def text(x: float, y: float, words: str, anchor: str, colour: str = "#333") -> str:
    """Return words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" fill="{colour}">{words}</text>'

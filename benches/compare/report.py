"""What was measured, as a table and as a plot."""

from __future__ import annotations

from html import escape
from statistics import median
from typing import Any

from rows import BY_NAME, TARGETS, UNAUDITED, Row, Target

Json = dict[str, Any]

# A core that idles less than this is what limits.
BUSY = 0.05


def limit(measured: Json) -> str:
    """Which core had nothing left: the proxy's, or that of load generator and FHIR server, which is never idle."""
    (_, proxy), _ = measured["idle"]
    return "proxy" if proxy < BUSY else "load"


def line(row: Row, measured: Json) -> str:
    if "throughput" not in measured:
        return f"{row.name:20} {measured['capacity']:9.0f} a CPU second"
    cache = measured.get("token_cache")
    return (
        f"{row.name:20} {measured['capacity']:9.0f} a CPU second {measured['throughput']:9.0f}/s"
        f"  p50 {measured['p50_us']} p99 {measured['p99_us']} p99.9 {measured['p999_us']} µs  {measured['resident_kb'] / 1024:.1f} MB"
        f"  limit: {limit(measured)}" + (f"  cache {cache:.4f}" if cache is not None else "")
    )


def middle(rounds: list[Json], key: str) -> float:
    return median(one[key] for one in rounds)


def table(found: Json) -> str:
    parts = [f"Measured {found['began']}; medians over the rounds, the worst round in brackets.\n"]
    rows = {name: rounds for name, rounds in found["rows"].items() if rounds}
    if rows:
        parts.append(main_table(rows))
        parts.append(targets_table(rows))
    for name, lines in found["groups"].items():
        parts.append("\n".join(["", f"| {name} | figure |", "|---|---|", *(f"| {label} | {figure} |" for label, figure in lines)]))
    return "\n".join(parts) + "\n"


def main_table(rows: dict[str, list[Json]]) -> str:
    lines = [
        "| row | requests per CPU second | CPU µs a request | requests a second | p50 µs | p99 µs | p99.9 µs | memory MB | limit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rounds in rows.items():
        capacity, worst = middle(rounds, "capacity"), min(one["capacity"] for one in rounds)
        cells = [BY_NAME[name].label, f"{capacity:,.0f} ({worst:,.0f})", f"{1e6 / capacity:.1f}"]
        if "throughput" in rounds[0]:
            cells += [f"{middle(rounds, 'throughput'):,.0f} ({min(one['throughput'] for one in rounds):,.0f})"]
            cells += [f"{middle(rounds, key):,.0f}" for key in ("p50_us", "p99_us", "p999_us")]
            cells += [f"{middle(rounds, 'resident_kb') / 1024:.1f}", "/".join(sorted({limit(one) for one in rounds}))]
        lines.append("| " + " | ".join(cells + [""] * (9 - len(cells))) + " |")
    return "\n".join(lines) + "\n"


def ratio(rows: dict[str, list[Json]], target: Target, key: str) -> tuple[float, float] | None:
    """The ratio of the medians, and the worst of the rounds'."""
    ours, theirs = rows.get(target.row), rows.get(target.against)
    if not ours or not theirs or key not in ours[0] or key not in theirs[0]:
        return None
    return middle(ours, key) / middle(theirs, key), min(one[key] / other[key] for one, other in zip(ours, theirs))


def targets_table(rows: dict[str, list[Json]]) -> str:
    lines = ["| ratio | at least | per CPU second | of throughput |", "|---|---|---|---|"]
    for target in TARGETS:
        cells = []
        for key in ("capacity", "throughput"):
            found = ratio(rows, target, key)
            cells.append(f"{found[0]:.2f} ({found[1]:.2f})" if found else "")
        if any(cells):
            lines.append(f"| {target.text} | {target.at_least:.2f} | {cells[0]} | {cells[1]} |")
    if {"gate-read", "pingora-read"} <= rows.keys():
        added = 1e6 / middle(rows["gate-read"], "capacity") - 1e6 / middle(rows["pingora-read"], "capacity")
        lines.append(f"| CPU added to a guarded read over bare pingora | ≤ 0 µs | {added:+.1f} µs | |")
    return "\n".join(lines) + "\n"


def short_table(rows: dict[str, list[Json]]) -> str:
    """The ratios by themselves, for the README."""
    lines = ["| per second of CPU time | measured (worst round) | aimed at |", "|---|---|---|"]
    for target in TARGETS:
        if found := ratio(rows, target, "capacity"):
            lines.append(f"| {target.text} | {found[0]:.2f} ({found[1]:.2f}) | {target.at_least:.2f} |")
    return "\n".join(lines) + "\n"


COLOURS = {"smartgate": "#1d5fa8", "pingora": "#e07b39"}
HEIGHT, LEFT, WIDTH = 24, 270, 470


def plot(found: Json) -> str:
    """Bars of the requests that a second of CPU time has room for; bodies of a size share a scale."""
    bars: list[tuple[str, list[tuple[Row, float]]]] = []
    for title, bodies in (("468 bytes, and refusals", ("read", "any", "outcome")), ("45 kB", ("small",)), ("1 MB", ("large",))):
        rows = [BY_NAME[name] for name, rounds in found["rows"].items() if rounds and BY_NAME[name].server != UNAUDITED]
        chosen = [row for row in rows if row.body in bodies or (row.body == "bundle" and row.asks in bodies)]
        if chosen:
            bars.append((title, [(row, middle(found["rows"][row.name], "capacity")) for row in chosen]))
    parts, y = [], 30
    for title, rows in bars:
        most = max(value for _, value in rows)
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += 8
        for row, value in rows:
            length = WIDTH * value / most
            colour = COLOURS.get(row.server, "#9aa5b1")
            parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(row.label)}</text>')
            parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="{HEIGHT - 6}" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 16}">{value:,.0f}</text>')
            y += HEIGHT
        y += 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 80} {y}" font-family="sans-serif" font-size="13">'
    title = "<title>Requests per second of CPU time, one worker</title>"
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, title, ground, *parts, "</svg>"]) + "\n"

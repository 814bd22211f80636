"""The logs of a training as pictures: python curves.py WORK FOLDER writes FOLDER/{tower,gaze,words,whole}.svg."""

import argparse
import json
from pathlib import Path

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 610, 44, 290
COLORS = ("#c44e00", "#0066a6", "#00785a", "#a3487f", "#8f5a00", "#555555", "#b02a30", "#5b4db0")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
TITLES = {
    "tower": "Vision tower: what patches and CLS of layer -2 know",
    "gaze": "Vision tower: CLS asked what is in each cell",
    "words": "Decoder before it sees: right answers by type of question",
    "whole": "Projector and decoder with pictures: right answers by type of question",
}
NOT_SHARES = ("step", "seconds", "loss", "counted")


def smoothed(values, reach=2):
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def path_of(steps, values, last_step, top=1.0):
    points = (
        f"{LEFT + step / last_step * (RIGHT - LEFT):.1f} {BOTTOM - min(value, top) / top * (BOTTOM - TOP):.1f}"
        for step, value in zip(steps, smoothed(values), strict=True)
    )
    return "M" + "L".join(points)


def spread(heights, least=15):
    """Moves names that would touch apart, downwards."""
    placed = {}
    lowest = TOP - least
    for name, y in sorted(heights.items(), key=lambda pair: pair[1]):
        lowest = placed[name] = max(y, lowest + least)
    over = max(0, lowest - BOTTOM)
    return {name: y - over for name, y in placed.items()}


def chart(name, rows):
    steps = [row["step"] for row in rows]
    shares = [key for key in rows[-1] if key not in NOT_SHARES]
    losses = [row["loss"] for row in rows]
    most = max(losses)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13" fill="#222222">',
        f"<title>{TITLES[name]}</title>",
        "<style>@media (prefers-color-scheme:dark){.paper{fill:#16181d}text{fill:#e8e8e8}.grid{stroke:#3a3f48}"
        ".loss{stroke:#d0d0d0}}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="600">{TITLES[name]}</text>',
    ]
    for tenth in range(0, 11, 2):
        y = BOTTOM - tenth / 10 * (BOTTOM - TOP)
        parts.append(f'<path class="grid" stroke="#d9d9d9" d="M{LEFT} {y:.1f}H{RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10} %</text>')
    for share in range(5):
        step = round(steps[-1] * share / 4)
        x = LEFT + share / 4 * (RIGHT - LEFT)
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 40}" text-anchor="middle">steps</text>')
    loss = path_of(steps, losses, steps[-1], most)
    parts.append(f'<path class="loss" fill="none" stroke="#222222" stroke-width="1.2" stroke-opacity="0.6" d="{loss}"/>')
    ends = {"loss": BOTTOM - losses[-1] / most * (BOTTOM - TOP)}
    for i, key in enumerate(shares):
        known = [(row["step"], row[key]) for row in rows if key in row]
        line = path_of(*zip(*known, strict=True), steps[-1])
        dash = f' stroke-dasharray="{DASHES[i % 4]}"' if i % 4 else ""
        parts.append(f'<path fill="none" stroke="{COLORS[i % 8]}" stroke-width="2"{dash} d="{line}"/>')
        ends[key] = BOTTOM - known[-1][1] * (BOTTOM - TOP)
    for key, y in spread(ends).items():
        last = losses[-1] if key == "loss" else rows[-1][key]
        label = f"loss {last:.3f} of {most:.1f}" if key == "loss" else f"{key} {100 * last:.0f} %"
        at = shares.index(key) if key in shares else -1
        color = COLORS[at % 8] if at >= 0 else "#222222"
        dash = f' stroke-dasharray="{DASHES[at % 4]}"' if at % 4 > 0 and at > 0 else ""
        parts.append(f'<path stroke="{color}" stroke-width="2"{dash} d="M{RIGHT + 4} {y:.1f}h22"/>')
        parts.append(f'<text x="{RIGHT + 30}" y="{y + 4:.1f}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    for name in TITLES:
        rows = [json.loads(line) for line in (arguments.work / f"{name}.jsonl").read_text().splitlines()]
        (arguments.folder / f"{name}.svg").write_text(chart(name, rows))


if __name__ == "__main__":
    main()

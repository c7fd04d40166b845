#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench.py SAMPLES JSON SVG: what the comparison with netfront has shown.

Reads the lines of bench/compare.sh, prints a table of medians with the ratios of
vtoe to netfront (the median of the ratios of single rounds) and the figures that
the project wants to reach, and writes all of it as JSON and the ratios as a bar
chart.
"""
import json
import statistics
import sys

WAYS = ["netfront", "vtoe", "vtoe-run", "tto", "tto-native", "tto-inside",
        "dom0"]
# workload, metric, bound, "most" or "least", way: to netfront, PV guest
WANTED = [
    ("bulk-rx/1", "cpu", 0.65, "most", "vtoe"),
    ("bulk-tx/1", "cpu", 0.5, "most", "vtoe"),
    ("bulk-rx/1", "throughput", 1.1, "least", "vtoe"),
    ("bulk-tx/1", "throughput", 1.25, "least", "vtoe"),
    ("rr/1/1", "p50", 0.7, "most", "vtoe"),
    ("rr/1/1024", "p50", 0.7, "most", "vtoe"),
    ("connect/1", "rate", 1.5, "least", "vtoe"),
    ("bulk-rx/1", "throughput", 1.5, "least", "tto-inside"),
    ("bulk-rx/1", "cpu", 0.5, "most", "tto-inside"),
]
UNITS = {"throughput": "Mbit/s", "cpu": "s/GB", "cpu_dom0": "s/GB",
         "cpu_guest": "s/GB", "rate": "1/s", "p50": "us", "p99": "us",
         "cpu_op": "s/1000"}


def metrics(s):
    seconds = s["ns"] / 1e9
    cpu = (s["dom0_ns"] + s["guest_ns"]) / 1e9
    if s["workload"].startswith("bulk"):
        moved = s["rx_bytes"] if s["workload"] == "bulk-rx" else s["tx_bytes"]
        gb = max(moved, 1) / 1e9
        return {"throughput": moved * 8 / seconds / 1e6, "cpu": cpu / gb,
                "cpu_dom0": s["dom0_ns"] / 1e9 / gb,
                "cpu_guest": s["guest_ns"] / 1e9 / gb}
    m = {k: s[k] for k in ("rate", "p50", "p99") if s[k] is not None}
    if s["rate"]:
        m["cpu_op"] = cpu / (s["rate"] * seconds / 1000)
    return m


def name_of(s):
    return "/".join(str(x) for x in (s["workload"], s["streams"])
                    + ((s["size"],) if s["size"] else ()))


def gather(lines):
    """{guest: {workload: {metric: {way: {round: value}}}}}"""
    found = {}
    for line in lines:
        if not line.startswith("SAMPLE "):
            continue
        s = json.loads(line[7:])
        for metric, value in metrics(s).items():
            found.setdefault(s["guest"], {}).setdefault(
                name_of(s), {}).setdefault(metric, {}).setdefault(
                s["way"], {})[s["round"]] = value
    return found


def ratio(ways, way, base="netfront"):
    both = set(ways.get(way, {})) & set(ways.get(base, {}))
    ratios = [ways[way][r] / ways[base][r] for r in both if ways[base][r]]
    return statistics.median(ratios) if ratios else None


def show(guest, workloads):
    ways = [w for w in WAYS if any(w in m for x in workloads.values()
                                   for m in x.values())]
    print(f"\n{guest} guest; medians; in brackets: ratio to netfront")
    print(f"{'':12}{'':11}{'':8}" + "".join(f"{w:>18}" for w in ways))
    for workload, measured in workloads.items():
        for metric, by_way in measured.items():
            cells = ""
            for way in ways:
                if way not in by_way:
                    cells += f"{'-':>18}"
                    continue
                value = statistics.median(by_way[way].values())
                r = ratio(by_way, way)
                text = f"{value:.4g}"
                if way != "netfront" and r is not None:
                    text += f" [{r:.2f}]"
                cells += f"{text:>18}"
            print(f"{workload:12}{metric:11}{UNITS[metric]:8}{cells}")


def judge(workloads):
    verdicts = []
    for workload, metric, bound, kind, way in WANTED:
        r = ratio(workloads.get(workload, {}).get(metric, {}), way)
        if r is None:
            continue
        good = r <= bound if kind == "most" else r >= bound
        verdicts.append({"workload": workload, "metric": metric, "way": way,
                         "ratio": r,
                         f"at_{kind}": bound, "reached": good})
        print(f"{'reached' if good else 'MISSED ':8} {way:11}{workload:10} "
              f"{metric:11}{r:6.2f}  (at {kind} {bound})")
    return verdicts


def chart(found, path):
    rows = [(f"{g} {w} {m}", way, ratio(x, way))
            for g, ws in found.items() for w, ms in ws.items()
            for m, x in ms.items() if m in ("throughput", "cpu", "rate", "p50")
            for way in WAYS[1:] if ratio(x, way)]
    colour = {"vtoe": "#2b6cb0", "vtoe-run": "#63a4de", "tto": "#38a169",
              "tto-native": "#68d391", "tto-inside": "#b2e2c0", "dom0": "#a0aec0"}
    height, scale = 16 * len(rows) + 50, 200
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="900" '
           f'height="{height}" font-family="sans-serif" font-size="11">',
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="10" y="18" font-size="13">ratio to netfront '
           '(throughput, rate: longer is better; cpu, p50: shorter is)</text>']
    for i, (label, way, r) in enumerate(rows):
        y = 34 + 16 * i
        out.append(f'<text x="10" y="{y + 10}">{label} {way}</text>')
        out.append(f'<rect x="260" y="{y}" height="12" fill="{colour[way]}" '
                   f'width="{min(r, 3) * scale:.1f}"/>')
        out.append(f'<text x="{264 + min(r, 3) * scale:.1f}" y="{y + 10}">'
                   f'{r:.2f}</text>')
    out.append(f'<line x1="{260 + scale}" x2="{260 + scale}" y1="28" '
               f'y2="{height - 14}" stroke="#c53030" stroke-dasharray="4"/>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


def main():
    samples, to_json, to_svg = sys.argv[1:]
    with open(samples, encoding="utf-8") as f:
        found = gather(f)
    verdicts = {}
    for guest, workloads in found.items():
        show(guest, workloads)
        if guest == "pv":
            print()
            verdicts[guest] = judge(workloads)
    ratios = {g: {w: {m: {way: ratio(x, way) for way in x if way != "netfront"}
                      for m, x in ms.items()} for w, ms in ws.items()}
              for g, ws in found.items()}
    with open(to_json, "w", encoding="utf-8") as f:
        json.dump({"samples": found, "ratios_to_netfront": ratios,
                   "wanted": verdicts}, f, indent=1)
    chart(found, to_svg)


main()

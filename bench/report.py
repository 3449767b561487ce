"""Turns the values of all rounds into the comparison: medians side by side, ratios, targets; Markdown and JSON.

Each peer has two columns, one in the table of plain proxies and one in the table of those that do the same job as hotspare. The
targets are held against the better of the two.
"""
import datetime
import json
import os
import pathlib
import platform
import statistics

from proxies import BODIES, KINDS, PEERS, PLAIN, SAME_JOB, SMALL, VARIANTS

HIGHER, LOWER = "higher is better", "lower is better"
# measure: (title, unit, digits, what is better)
ROWS = {
    "calls_64": ("system calls per request, 64 conn.", "", 2, LOWER),
    "calls_1": ("system calls per request, 1 conn.", "", 2, LOWER),
    "instructions_64": ("user instructions per request", "", 0, LOWER),
    "saturation_user_us": ("user CPU per request, saturated", "us", 2, LOWER),
    "saturation_system_us": ("system CPU per request, saturated", "us", 2, LOWER),
    "saturation_cpu_us": ("user+system CPU, saturated", "us", 2, LOWER),
    "steady_user_us": ("user CPU per request, steady", "us", 2, LOWER),
    "steady_system_us": ("system CPU per request, steady", "us", 2, LOWER),
    "steady_cpu_us": ("user+system CPU, steady", "us", 2, LOWER),
    "saturation_rate": ("requests/s, saturated", "/s", 0, HIGHER),
    "wrk_rate": ("requests/s, saturated, by wrk", "/s", 0, HIGHER),
    "saturation_busy": ("proxy cores busy, saturated", "%", 0, None),
    "steady_p50_us": ("latency p50, steady", "us", 0, LOWER),
    "steady_p99_us": ("latency p99, steady", "us", 0, LOWER),
    "download 1 MiB": ("download 1 MiB", "MiB/s", 0, HIGHER),
    "upload 1 MiB": ("upload 1 MiB", "MiB/s", 0, HIGHER),
    "download 64 MiB": ("download 64 MiB", "MiB/s", 0, HIGHER),
    "upload 64 MiB": ("upload 64 MiB", "MiB/s", 0, HIGHER),
    "idle_connection_kib": ("memory per idle connection", "KiB", 2, LOWER),
    "memory_start_kib": ("memory at start", "KiB", 0, LOWER),
    "memory_loaded_kib": ("memory after load", "KiB", 0, LOWER),
}
BASELINES = ("nginx", "haproxy")  # the ratio is to the better of these
TITLES = {PLAIN: "the peers as plain proxies: no health checks, no retries",
          SAME_JOB: "the peers doing the same job: health checks, retries, redispatch"}
# measure: (factor, which baselines): the target is factor times that baseline, the better of its variants, or better
TARGETS = [
    ("saturation_user_us", 0.75, ("haproxy",)), ("saturation_user_us", 1.0, ("nginx",)),
    ("saturation_cpu_us", 0.97, BASELINES), ("saturation_rate", 1.03, BASELINES), ("steady_p99_us", 1.0, BASELINES),
    ("download 1 MiB", 1.0, BASELINES), ("upload 1 MiB", 1.0, BASELINES),
    ("download 64 MiB", 1.0, BASELINES), ("upload 64 MiB", 1.0, BASELINES),
]
LIMITS = [("calls_64", 4.3), ("instructions_64", 12900), ("idle_connection_kib", 2.0)]  # measure, most


def assemble(bench, plan, arguments, values, counts, seconds):
    """Everything that was found, as one value that JSON can hold."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": _machine(),
        "layout": {"workers": bench.workers, "proxy_cores": bench.proxy_cores, "other_cores": bench.other_cores},
        "plan": plan._asdict(),
        "seconds": round(seconds),
        "versions": {name: bench.version(name) for name in arguments.proxies},
        "buffers": {name: KINDS[name].buffers for name in arguments.proxies},
        "configurations": {name: bench.config_text(name) for name in arguments.proxies},
        "medians": {measure: {name: statistics.median(rounds) for name, rounds in by_proxy.items()}
                    for measure, by_proxy in values.items()},
        "rounds": values,
        "counts": counts,
    }


def table(result):
    """For a terminal of 80 columns: medians side by side, the ratio of ours to the better of nginx and HAProxy."""
    title = 37
    lines = []
    for variant in VARIANTS:
        names = _columns(result, variant)
        if not names:
            continue
        lines += [TITLES[variant], " " * title + "".join(f"{_short(name):>9}" for name in names) + f"{'ratio':>7}"]
        for row in _rows(result, names):
            lines.append(f"{_label(row):<{title}}" + "".join(f"{cell:>9}" for cell in row["cells"]) +
                         f"{row['ratio']:>7}")
        lines.append("")
    return "\n".join([*lines, *_notes(result), "", *_verdicts(result)])


def write(result, directory, name="latest"):
    """Writes NAME.md and NAME.json there and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {f"{name}.md": markdown(result), f"{name}.json": json.dumps(result, indent=1) + "\n"}
    for file, text in contents.items():
        partial = directory / f"{file}.tmp"  # a run that is interrupted leaves the last report whole
        partial.write_text(text, encoding="utf-8")
        partial.replace(directory / file)
    return [directory / file for file in contents]


def markdown(result):
    """The report for a reader: the tables with the spread of each number, what was counted and how, the targets."""
    machine, layout = result["machine"], result["layout"]
    lines = [
        "# Benchmark", "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['system']}; {result['date']}; `./run.sh bench`, {_rounds(result)}, {result['seconds']} s.", "",
        *(f"- {name}: {version}{_buffers(result, name)}" for name, version in result["versions"].items()), "",
        f"Workers: {layout['workers']} each, on core {_list(layout['proxy_cores'])}; origin and client on core "
        f"{_list(layout['other_cores'])}.", "",
        "Median over the rounds, least and most in brackets; what is counted is counted once. Ratio: hotspare to the better "
        "of nginx and HAProxy of the same table. A target is held against the faster variant.", "",
        *_summary(result),
    ]
    for variant in VARIANTS:
        names = _columns(result, variant)
        if not names:
            continue
        lines += ["## " + TITLES[variant][0].upper() + TITLES[variant][1:], "",
                  "| | unit | " + " | ".join(map(_short, names)) + " | ratio |",
                  "|---|---|" + "---:|" * (len(names) + 1)]
        for row in _rows(result, names):
            cells = " | ".join(f"{cell} ({spread})" if spread else cell
                               for cell, spread in zip(row["cells"], row["spreads"]))
            lines.append(f"| {row['title']} | {row['unit']} | {cells} | {row['ratio']} |")
        lines.append("")
    return "\n".join([*lines, *_calls_by_name(result), "## Notes and targets", "", *_notes(result), "",
                      *(f"- {verdict}" for verdict in _verdicts(result)), ""])


def _summary(result):
    """The medians of everything in one table, which README takes over."""
    names = sorted(result["versions"], key=lambda name: (_short(name) in PEERS and 1 + PEERS.index(_short(name)), name))
    lines = ["## All proxies, medians", "", "| | " + " | ".join(map(_title, names)) + " | target |",
             "|---|" + "---:|" * len(names) + "---|"]
    for row in _rows(result, names):
        lines.append(f"| {_label(row)} | {' | '.join(row['cells'])} | {_targets(row['measure'])} |")
    return [*lines, ""]


def _buffers(result, name):
    sizes = result["buffers"][name]
    if not sizes:
        return ""
    return f"; buffers of {sizes[SMALL] // 1024} KiB for small requests, {sizes[BODIES] // 1024} KiB for bodies"


def _title(name):
    titles = {"nginx": "nginx", "haproxy": "HAProxy", "caddy": "Caddy"}
    peer = _short(name)
    return f"{titles[peer]} {name[len(peer) + 1:].replace('-', ' ')}" if peer in titles else name


def _targets(measure):
    """What is asked of hotspare, as words."""
    sign = "\u2265" if ROWS[measure][3] is HIGHER else "\u2264"
    words = [f"{sign} {most:,g}" for limited, most in LIMITS if limited == measure]
    for targeted, factor, baselines in TARGETS:
        if targeted == measure:
            which = "the better" if len(baselines) > 1 else _title(baselines[0] + "-").strip()
            words.append(f"{sign} {which}" if factor == 1 else f"{sign} {factor:g} \u00d7 {which}")
    return ", ".join(words)


def _rounds(result):
    number = max(len(rounds) for by_proxy in result["rounds"].values() for rounds in by_proxy.values())
    return f"{number} round{'' if number == 1 else 's'}"


def _calls_by_name(result):
    """Which system calls a request costs, so that a reader can see where the sums come from."""
    parts = result["counts"]["parts"]
    if not any(parts.values()):
        return []
    lines = ["## System calls per request, by name", ""]
    for measure, by_proxy in parts.items():
        for name, calls in by_proxy.items():
            counted = ", ".join(f"{call} {each:.2f}" for call, each in sorted(calls.items(), key=lambda c: -c[1]))
            lines.append(f"- {name}, {_connections(measure)}: {counted}")
    return [*lines, ""]


def _connections(measure):
    number = measure.rpartition("_")[2]
    return f"{number} connection{'' if number == '1' else 's'}"


def _columns(result, variant):
    """The proxies of one table: hotspare and the peers of that variant; none when no such peer was measured."""
    names = [name for name in result["versions"] if name.endswith("-" + variant)]
    if not names and variant == PLAIN and list(result["versions"]) == ["hotspare"]:
        return ["hotspare"]
    return [name for name in result["versions"] if name == "hotspare"] + names if names else []


def _short(name):
    return next((peer for peer in PEERS if name.startswith(peer + "-")), name)


def _label(row):
    return f"{row['title']}, {row['unit']}" if row["unit"] else row["title"]


def _rows(result, names):
    for measure, (title, unit, digits, better) in ROWS.items():
        by_proxy = result["medians"].get(measure)
        if not by_proxy:
            continue
        rounds = result["rounds"][measure]
        baseline = _baseline([by_proxy[name] for name in names if _short(name) in BASELINES and name in by_proxy], better)
        ratio = f"{by_proxy['hotspare'] / baseline:.2f}" if baseline and "hotspare" in by_proxy else ""
        yield {"measure": measure, "title": title, "unit": unit, "ratio": ratio,
               "cells": [f"{by_proxy[name]:,.{digits}f}" if name in by_proxy else "-" for name in names],
               "spreads": [f"{min(rounds[name]):,.{digits}f}-{max(rounds[name]):,.{digits}f}"
                           if len(rounds.get(name, ())) > 1 else "" for name in names]}


def _baseline(values, better):
    if not values or better is None:
        return None
    return max(values) if better is HIGHER else min(values)


def _notes(result):
    rate = result["plan"]["rate"]
    notes = ["Small GET, 64 keep-alive connections."]
    if rate:
        notes.append(f"Steady: {rate} requests/s, open loop; half of the weakest proxy's maximum unless given.")
    idle_share = 100 - min(result["medians"].get("saturation_busy", {"": 100}).values())
    if idle_share > 15:
        notes.append(f"A proxy was {idle_share:.0f} % idle at saturation: the machine did other work. Repeat the run.")
    counts = result["counts"]
    if counts.get("calls"):
        notes.append(f"System calls: counted by {counts['calls']}" + (
            "; strace stops a proxy at each, which changes how much it does at once." if counts["calls"] == "strace" else "."))
    if counts.get("instructions"):
        notes.append(f"User instructions: counted by {counts['instructions']}; 64 connections.")
    notes += [f"Not counted: {failure}." for failure in counts["failures"]]
    if "idle_connection_kib" in result["medians"]:
        notes.append("Idle: 10,000 connections that each carried one request. Memory: proportional set size.")
    return notes


def _verdicts(result):
    """One line per target of hotspare, met or missed; none for what was not measured."""
    verdicts = []
    for measure, factor, baselines in TARGETS:
        by_proxy = result["medians"].get(measure, {})
        title, unit, digits, better = ROWS[measure]
        # The faster of the variants counts: a peer that has less to do than hotspare is no excuse.
        peers = {name: value for name, value in by_proxy.items() if _short(name) in baselines}
        if "hotspare" not in by_proxy or {_short(name) for name in peers} != set(baselines):
            continue
        best = _baseline(list(peers.values()), better)
        limit = factor * best
        ours = by_proxy["hotspare"]
        met = ours >= limit if better is HIGHER else ours <= limit
        sign = ">=" if better is HIGHER else "<="
        which = next(name for name, value in peers.items() if value == best)
        verdicts.append(f"{_word(met)} {title}: {ours:,.{digits}f} {sign} {limit:,.{digits}f} {unit} "
                        f"({factor:g} x {which})")
    for measure, most in LIMITS:
        ours = result["medians"].get(measure, {}).get("hotspare")
        title, unit, digits, _ = ROWS[measure]
        if ours is not None:
            verdicts.append(f"{_word(ours <= most)} {title}: {ours:,.{digits}f} <= {most:,g} {unit}".rstrip())
    return verdicts


def _word(met):
    return "met   " if met else "MISSED"


def _machine():
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(memory), "kernel": platform.release(),
            "system": system}


def _list(cores):
    return ", ".join(map(str, cores))

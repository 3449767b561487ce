"""Turns the values of all rounds into the comparison: medians side by side, ratios, targets; Markdown and JSON."""
import datetime
import json
import os
import pathlib
import platform
import statistics

HIGHER, LOWER = "higher is better", "lower is better"
# measure: (title, unit, digits, what is better)
ROWS = {
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
# measure: (factor, which baselines): the target is factor times that baseline or better
TARGETS = [
    ("saturation_user_us", 0.75, ("haproxy",)), ("saturation_user_us", 1.0, ("nginx",)),
    ("saturation_cpu_us", 0.95, BASELINES), ("saturation_rate", 1.0, BASELINES), ("steady_p99_us", 1.0, BASELINES),
    ("download 1 MiB", 1.0, BASELINES), ("upload 1 MiB", 1.0, BASELINES),
    ("download 64 MiB", 1.0, BASELINES), ("upload 64 MiB", 1.0, BASELINES),
]
IDLE_TARGET_KIB = 2.0


def assemble(bench, plan, arguments, values, seconds):
    """Everything that was found, as one value that JSON can hold."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": _machine(),
        "layout": {"workers": bench.workers, "proxy_cores": bench.proxy_cores, "other_cores": bench.other_cores},
        "plan": plan._asdict(),
        "seconds": round(seconds),
        "versions": {name: bench.version(name) for name in arguments.proxies},
        "configurations": {name: bench.config_text(name) for name in arguments.proxies},
        "medians": {measure: {name: statistics.median(rounds) for name, rounds in by_proxy.items()}
                    for measure, by_proxy in values.items()},
        "rounds": values,
    }


def table(result):
    """For a terminal of 80 columns: medians side by side, the ratio of ours to the better of nginx and HAProxy."""
    names = list(result["versions"])
    title = 37
    lines = [" " * title + "".join(f"{name:>9}" for name in names) + f"{'ratio':>7}"]
    for row in _rows(result):
        label = f"{row['title']}, {row['unit']}"
        lines.append(f"{label:<{title}}" + "".join(f"{cell:>9}" for cell in row["cells"]) + f"{row['ratio']:>7}")
    return "\n".join([*lines, "", *_notes(result), "", *_verdicts(result)])


def write(result, directory):
    """Writes latest.md and latest.json there and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {"latest.md": _markdown(result), "latest.json": json.dumps(result, indent=1) + "\n"}
    for name, text in contents.items():
        partial = directory / f"{name}.tmp"  # a run that is interrupted leaves the last report whole
        partial.write_text(text)
        partial.replace(directory / name)
    return [directory / name for name in contents]


def _markdown(result):
    names = list(result["versions"])
    machine, layout = result["machine"], result["layout"]
    lines = [
        "# Benchmark", "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['system']}; {result['date']}; `./run.sh bench`, {result['plan']['rounds']} rounds, "
        f"{result['seconds']} s.", "",
        *(f"- {name}: {version}" for name, version in result["versions"].items()), "",
        f"Workers: {layout['workers']} each, on core {_list(layout['proxy_cores'])}; origin and client on core "
        f"{_list(layout['other_cores'])}.", "",
        "Median over the rounds, least and most in brackets. Ratio: hotspare to the better of nginx and HAProxy.", "",
        "| | unit | " + " | ".join(names) + " | ratio |", "|---|---|" + "---:|" * (len(names) + 1),
    ]
    for row in _rows(result):
        cells = " | ".join(f"{cell} ({spread})" for cell, spread in zip(row["cells"], row["spreads"]))
        lines.append(f"| {row['title']} | {row['unit']} | {cells} | {row['ratio']} |")
    return "\n".join([*lines, "", *_notes(result), "", *(f"- {verdict}" for verdict in _verdicts(result)), ""])


def _rows(result):
    for measure, (title, unit, digits, better) in ROWS.items():
        by_proxy = result["medians"].get(measure)
        if not by_proxy:
            continue
        rounds = result["rounds"][measure]
        baseline = _baseline(by_proxy, BASELINES, better)
        ratio = f"{by_proxy['hotspare'] / baseline:.2f}" if baseline and "hotspare" in by_proxy else ""
        yield {"title": title, "unit": unit, "ratio": ratio,
               "cells": [f"{by_proxy[name]:,.{digits}f}" for name in result["versions"]],
               "spreads": [f"{min(rounds[name]):,.{digits}f}-{max(rounds[name]):,.{digits}f}"
                           for name in result["versions"]]}


def _baseline(by_proxy, names, better):
    present = [by_proxy[name] for name in names if name in by_proxy]
    if not present or better is None:
        return None
    return max(present) if better is HIGHER else min(present)


def _notes(result):
    rate = result["plan"]["rate"]
    notes = ["Small GET, 64 keep-alive connections."]
    if rate:
        notes.append(f"Steady: {rate} requests/s, open loop; half of the weakest proxy's maximum unless given.")
    idle_share = 100 - min(result["medians"].get("saturation_busy", {"": 100}).values())
    if idle_share > 15:
        notes.append(f"A proxy was {idle_share:.0f} % idle at saturation: the machine did other work. Repeat the run.")
    if "idle_connection_kib" in result["medians"]:
        notes.append("Idle: 10,000 connections that each carried one request. Memory: proportional set size.")
    return notes


def _verdicts(result):
    """One line per target of hotspare, met or missed; none for what was not measured."""
    verdicts = []
    for measure, factor, baselines in TARGETS:
        by_proxy = result["medians"].get(measure, {})
        title, unit, digits, better = ROWS[measure]
        if "hotspare" not in by_proxy or not all(name in by_proxy for name in baselines):
            continue
        limit = factor * _baseline(by_proxy, baselines, better)
        ours = by_proxy["hotspare"]
        met = ours >= limit if better is HIGHER else ours <= limit
        sign = ">=" if better is HIGHER else "<="
        verdicts.append(f"{_word(met)} {title}: {ours:,.{digits}f} {sign} {limit:,.{digits}f} {unit} "
                        f"({factor:g} x {'/'.join(baselines)})")
    ours = result["medians"].get("idle_connection_kib", {}).get("hotspare")
    if ours is not None:
        met = ours <= IDLE_TARGET_KIB
        verdicts.append(f"{_word(met)} memory per idle connection: {ours:.2f} <= {IDLE_TARGET_KIB:g} KiB")
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

"""What is measured. Each run uses one freshly started proxy; a measure may yield several values. A peer has the buffers that
serve small requests best in every measure but `bodies`, and there those that serve bodies best.

  steady      64 keep-alive connections, open loop at one rate for all: p50 and p99 from the moment a request was
              due (the median of several slices), and the CPU time per request
  saturation  the same connections in closed loop: requests/s, CPU time per request, memory afterwards
  wrk         saturation again as wrk(1) sees it, a client that is not ours and costs more per request
  bodies      1 MiB and 64 MiB, downloads and uploads, closed loop on a few connections
  idle        memory at the start, and what each of 10,000 idle keep-alive connections adds
  calls       system calls per request at 64 connections and at 1, closed loop; once, not in rounds
  instructions
              user instructions per request at 64 connections, closed loop; once, not in rounds
"""
import time
from statistics import mean, median
from typing import NamedTuple, Optional

import counting
from proxies import BODIES as LARGE
from proxies import BenchError

MIB = 1 << 20
TIMED = ("steady", "saturation", "wrk")
COUNTED = ("calls", "instructions")
NAMES = (*TIMED, "bodies", "idle", *COUNTED)
CONNECTIONS = 64
FEWEST_REQUESTS = 500  # between two runs whose instructions are subtracted
IDLE_CONNECTIONS = 10_000
IDLE_RATE = 4000  # how fast the idle connections are opened; slower than the slowest proxy
BODIES = (("1 MiB", MIB, 8), ("64 MiB", 64 * MIB, 4))  # name, bytes, connections


class Plan(NamedTuple):
    rounds: int
    calibration_seconds: float
    steady_slices: int
    steady_seconds: float  # of a slice
    saturation_seconds: float
    wrk_seconds: int
    body_seconds: float
    count_seconds: float
    rate: Optional[int] = None  # requests per second in `steady`


FULL = Plan(rounds=5, calibration_seconds=3, steady_slices=5, steady_seconds=1.2, saturation_seconds=5, wrk_seconds=3,
            body_seconds=2, count_seconds=3)
QUICK = Plan(rounds=2, calibration_seconds=1, steady_slices=3, steady_seconds=0.8, saturation_seconds=2, wrk_seconds=1,
             body_seconds=1, count_seconds=1.5)


def run_all(bench, name, wanted, plan):
    """{measure: value} for one proxy in one round. `idle` comes first: its baseline is a young process."""
    values = {}
    if "idle" in wanted:
        with bench.proxy(name) as proxy:
            values.update(_idle(bench, proxy))
    if set(wanted) & set(TIMED):
        with bench.proxy(name) as proxy:
            _warm_up(bench, proxy)
            if "steady" in wanted:
                values.update(_steady(bench, proxy, plan))
            if "saturation" in wanted:
                values.update(_saturation(bench, proxy, plan))
            if "wrk" in wanted:
                values["wrk_rate"] = bench.wrk(proxy, plan.wrk_seconds)
    if "bodies" in wanted:
        with bench.proxy(name, LARGE) as proxy:
            _warm_up(bench, proxy)
            values.update(_bodies(bench, proxy, plan))
    return values


def count_all(bench, name, wanted, plan):
    """({measure: value}, {measure: {system call: per request}}, [what could not be counted, and why])."""
    values, parts, failures = {}, {}, []
    if "calls" in wanted:
        if counting.calls_method():
            _calls(bench, name, plan, values, parts)
        else:
            failures.append("system calls: neither perf's tracepoints nor strace may count here (are you root?)")
    if "instructions" in wanted:
        try:
            values["instructions_64"] = _instructions(bench, name, plan)
        except BenchError as error:
            failures.append(f"instructions of {name}: {error}")
    return values, parts, failures


def _calls(bench, name, plan, values, parts):
    with bench.proxy(name) as proxy:
        _warm_up(bench, proxy)
        for connections in (CONNECTIONS, 1):
            load, counts = bench.count_calls(proxy, "--path", "/small", "--connections", connections,
                                             seconds=plan.count_seconds)
            each = {call: count / _checked(proxy, load)["requests"] for call, count in counts.items()}
            if not each["all"]:
                raise BenchError(f"{name}: {counting.calls_method()} counted no system call")
            values[f"calls_{connections}"] = each.pop("all")
            parts[f"calls_{connections}"] = {call: round(count, 3) for call, count in each.items() if count >= 0.005}


def _instructions(bench, name, plan):
    method = counting.instructions_method()
    small = ("--path", "/small", "--connections", CONNECTIONS, "--timeout", 30)
    if not method:
        raise BenchError("this machine has no counter that perf may use, and cachegrind (valgrind) does not run")
    if method == counting.COUNTER:
        with bench.proxy(name) as proxy:
            _warm_up(bench, proxy)
            load, counts = bench.count_instructions(proxy, *small, seconds=plan.count_seconds)
            return counts["all"] / _checked(proxy, load)["requests"]
    requests, instructions = [], []
    for seconds in (plan.count_seconds, 4 * plan.count_seconds):
        with bench.simulated(name, instructions) as proxy:
            requests.append(_checked(proxy, bench.load(proxy, *small, seconds=seconds))["requests"])
    if 0 in instructions or requests[1] - requests[0] < FEWEST_REQUESTS:
        raise BenchError(f"cachegrind: {instructions} instructions for {requests} requests, too few to subtract")
    return (instructions[1] - instructions[0]) / (requests[1] - requests[0])


def _warm_up(bench, proxy):
    """Pools, allocators and branch predictors settle before anything is counted."""
    saturate(bench, proxy, 0.5)


def saturate(bench, proxy, seconds):
    """Closed loop, small GET, 64 keep-alive connections."""
    return _checked(proxy, bench.load(proxy, "--path", "/small", "--connections", CONNECTIONS, seconds=seconds))


def soak(bench, name, say, requests=10_000_000):
    """Ten million requests; prints the memory of the process as it goes. Growth after the first million is a leak."""
    with bench.proxy(name) as proxy:
        done, first = 0, None
        while done < requests:
            done += saturate(bench, proxy, 20)["requests"]
            memory = proxy.memory_kib("Pss_Anon")
            first = first or memory
            say(f"  {name}: {done / 1e6:5.1f} million requests, {memory} KiB of its own ({memory - first:+d})")


def _steady(bench, proxy, plan):
    # Short slices and their median: the machine's own stalls (a few ms, in bursts) hit a slice or two, not all, while
    # what the proxy does to every hundredth request shows in each.
    loads, user, system = [], [], []
    for _ in range(plan.steady_slices):
        load, user_each, system_each, _ = _with_cpu(proxy, lambda: bench.load(
            proxy, "--path", "/small", "--connections", CONNECTIONS, "--rate", plan.rate, "--warmup", 0.2,
            seconds=plan.steady_seconds))
        loads.append(load)
        user.append(user_each)
        system.append(system_each)
    return {"steady_p50_us": median(load["p50_us"] for load in loads),
            "steady_p99_us": median(load["p99_us"] for load in loads),
            "steady_user_us": mean(user), "steady_system_us": mean(system), "steady_cpu_us": mean(user) + mean(system)}


def _saturation(bench, proxy, plan):
    load, user, system, busy = _with_cpu(proxy, lambda: saturate(bench, proxy, plan.saturation_seconds))
    return {"saturation_rate": load["per_second"], "saturation_user_us": user, "saturation_system_us": system,
            "saturation_cpu_us": user + system, "saturation_busy": 100 * busy / bench.workers,
            "memory_loaded_kib": proxy.memory_kib()}


def _bodies(bench, proxy, plan):
    values = {}
    for name, size, connections in BODIES:
        requests = {"download": ("--path", f"/bytes/{size}"), "upload": ("--path", "/sink", "--post", size)}
        for direction, request in requests.items():
            load = _checked(proxy, bench.load(proxy, *request, "--connections", connections,
                                              seconds=plan.body_seconds))
            values[f"{direction} {name}"] = load["requests"] * size / MIB / load["seconds"]
    return values


def _idle(bench, proxy):
    start = proxy.memory_kib()
    saturate(bench, proxy, 0.3)  # what every process allocates once is not the connections'
    time.sleep(0.2)
    before = proxy.memory_kib()
    with bench.idle_connections(proxy, IDLE_CONNECTIONS, IDLE_RATE):
        time.sleep(0.5)
        return {"memory_start_kib": start,
                "idle_connection_kib": (proxy.memory_kib() - before) / IDLE_CONNECTIONS}


def _with_cpu(proxy, run):
    """(what run returned, user and system us per request, share of one core that the proxy used)."""
    before, started = proxy.cpu_seconds(), time.monotonic()
    load = _checked(proxy, run())
    elapsed = time.monotonic() - started
    user, system = (after - earlier for after, earlier in zip(proxy.cpu_seconds(), before))
    each = 1e6 / load["requests"]
    return load, user * each, system * each, (user + system) / elapsed


def _checked(proxy, load):
    """A proxy that fails requests is not measured: its numbers would mean nothing."""
    if load["errors"] or not load["requests"]:
        raise BenchError(f"{proxy.name}: {load['errors']} of {load['requests']} requests failed")
    return load

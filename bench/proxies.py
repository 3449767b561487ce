"""Starts and stops the origin and the proxies, and reads from /proc what a proxy uses.

Every process belongs to a `with` block that ends it, and dies with this program even if that is killed. Only one proxy
runs at a time. Each peer runs in two variants, as a plain proxy and doing the same job as hotspare; their configurations are
templates in bench/peers/, with the reason for each setting.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import Dict, NamedTuple, Optional, Tuple

import counting

TICKS = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

PATIENCE = 10  # seconds for a start and for an end
PATIENCE_INSTRUMENTED = 60

# In the build's folder.
ORIGIN = "bench/bench_origin"
LOAD = "experiment/experiment"


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


class Kind(NamedTuple):
    """One proxy of the comparison: a program and what it is told."""
    template: Optional[str]  # in bench/peers/
    program: str
    command: str
    version: Tuple[str, ...]  # how it tells its version
    buffers: Dict[str, int] = {}  # load: bytes of a buffer; what a template calls @BUFFER@

    @property
    def peer(self):
        return self.program.rsplit("/", 1)[-1]


SMALL, BODIES = "small", "bodies"  # loads; a peer gets the buffers that serve each one best
PLAIN, SAME_JOB = "plain", "same-job"
VARIANTS = (PLAIN, SAME_JOB)


def _kinds():
    kinds = {"hotspare": Kind(None, "balancer/balancer",
                              "{program} --listen 127.0.0.1:{port} --workers {workers} "
                              "--backend primary=http://127.0.0.1:{origin1} --backend spare=http://127.0.0.1:{origin2}",
                              ("--version",))}
    for variant in VARIANTS:
        kinds[f"nginx-{variant}"] = Kind(f"nginx-{variant}.conf", "nginx", "{program} -c {config}", ("-v",),
                                         {SMALL: 16384, BODIES: 524288})
        kinds[f"haproxy-{variant}"] = Kind(f"haproxy-{variant}.cfg", "haproxy", "{program} -db -f {config}", ("-v",),
                                           {SMALL: 16384, BODIES: 65536})
        kinds[f"caddy-{variant}"] = Kind(f"caddy-{variant}.Caddyfile", "caddy",
                                         "{program} run --adapter caddyfile --config {config}", ("version",),
                                         {SMALL: 4096, BODIES: 4096})
    return kinds


KINDS = _kinds()
PEERS = ("nginx", "haproxy", "caddy")


def chosen(names):
    """The proxies that these names mean: a peer's name means both of its variants."""
    return [name for name in KINDS if name in names or (KINDS[name].template and KINDS[name].peer in names)]


class Proxy:
    """One running proxy: where it listens and what its processes use."""

    def __init__(self, name, port, process):
        self.name = name
        self.port = port
        self._process = process

    def pids(self):
        """The process and its children: nginx works in children of its master."""
        pids, parents = [], [self._process.pid]
        while parents:
            pids += parents
            parents = [int(child) for pid in parents
                       for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children")
                       for child in task.read_text().split()]
        return pids

    def cpu_seconds(self):
        """(user, system) of all its processes since they started, in steps of 1/TICKS s."""
        user = system = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            user += int(fields[11])
            system += int(fields[12])
        return user / TICKS, system / TICKS

    def memory_kib(self, what="Pss"):
        """Proportional set size of all its processes: memory that they share counts once. `Pss_Anon` leaves out the
        files that are mapped (program, libraries), whose share changes with the other processes that map them."""
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(what + ":"):
                    total += int(line.split()[1])
        return total


class Bench:
    """The place where it happens: programs, cores, the origin on two ports, and one proxy at a time."""

    def __init__(self, root, build, scratch, workers, proxy_cores, other_cores, first_port=17000):
        self.root = root
        self.build = build
        self.workers = workers
        self.proxy_cores = proxy_cores
        self.other_cores = other_cores
        self._scratch = scratch
        self._stack = contextlib.ExitStack()
        self._next_port = first_port  # below the range that outgoing connections take their ports from

    def __enter__(self):
        if self.tool(ORIGIN):
            self.origin_ports = [self._free_port(), self._free_port()]
            addresses = [f"127.0.0.1:{port}" for port in self.origin_ports]
            command = [self.tool(ORIGIN), *addresses]
            self._stack.enter_context(self._process("origin", command, self.other_cores))
            self._await_answer("origin", self.origin_ports[0])
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def tool(self, relative):
        path = self.build / relative
        return str(path) if path.exists() else None

    def _load_command(self, proxy):
        return [self.tool(LOAD), "load", "--target", f"127.0.0.1:{proxy.port}"]

    def program(self, name):
        relative = KINDS[name].program
        path = self.build / relative
        # Debian keeps the servers in /usr/sbin, which is not on every user's PATH.
        return str(path) if path.exists() else shutil.which(relative, path=os.environ["PATH"] + ":/usr/sbin")

    def missing_programs(self, names):
        missing = [tool for tool in (ORIGIN, LOAD) if not self.tool(tool)]
        missing += sorted({KINDS[name].program for name in names if not self.program(name)})
        return missing + [tool for tool in ("wrk", "taskset") if not shutil.which(tool)]

    def version(self, name):
        done = subprocess.run([self.program(name), *KINDS[name].version], capture_output=True, text=True, timeout=10,
                              check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0].split(" - ")[0] if lines else "unknown"

    def config_text(self, name):
        """What is given to the proxy, for the report: its template, or the command line where that is all there is."""
        template = KINDS[name].template
        return (self.root / "bench/peers" / template).read_text() if template else KINDS[name].command

    def rendered(self, name, values):
        """The configuration of a peer, its @NAMES@ filled in."""
        text = self.config_text(name)
        for key, value in values.items():
            text = text.replace(f"@{key.upper()}@", str(value))
        left = re.findall(r"@[A-Z0-9]+@", text)
        if left:
            raise BenchError(f"bench/peers/{KINDS[name].template}: nothing is known for {', '.join(left)}")
        return text

    @contextlib.contextmanager
    def proxy(self, name, load=SMALL, prefix=()):
        """A running proxy with the buffers for that load; `prefix` is a command that runs it, such as valgrind."""
        kind = KINDS[name]
        port = self._free_port()
        directory = self._scratch / f"{name}-{port}"
        directory.mkdir()
        values = {"port": port, "workers": self.workers, "origin1": self.origin_ports[0],
                  "origin2": self.origin_ports[1], "run": directory, "program": self.program(name),
                  "buffer": kind.buffers.get(load)}
        if kind.template:
            values["config"] = directory / kind.template
            values["config"].write_text(self.rendered(name, values))
        words = [*prefix, *(word.format(**values) for word in kind.command.split())]
        environment = {"GOMAXPROCS": str(self.workers), "XDG_CONFIG_HOME": directory, "XDG_DATA_HOME": directory}
        patience = PATIENCE_INSTRUMENTED if prefix else PATIENCE
        with self._process(name, words, self.proxy_cores, environment, patience) as process:
            self._await_answer(name, port, patience)
            yield Proxy(name, port, process)

    def load(self, proxy, *arguments, seconds):
        """Runs `experiment load` against the proxy for about that long and returns what it measured."""
        command = [*self._load_command(proxy), "--seconds", str(seconds)]
        done = self._run_client([*command, *map(str, arguments)], seconds)
        return json.loads(done)

    def count_calls(self, proxy, *arguments, seconds):
        """(what the load measured, {system call or "all": how often all processes of the proxy made it})."""
        return self._counted(counting.Calls(proxy.pids(), self._scratch), proxy, arguments, seconds)

    def count_instructions(self, proxy, *arguments, seconds):
        """The same for {"all": user instructions}, by the processor's counter."""
        return self._counted(counting.Instructions(proxy.pids(), self._scratch), proxy, arguments, seconds)

    def _counted(self, counter, proxy, arguments, seconds):
        with counter:
            load = self.load(proxy, *arguments, seconds=seconds)
        return load, counter.result()

    @contextlib.contextmanager
    def simulated(self, name, counts):
        """A proxy that runs in cachegrind; afterwards `counts` has the user instructions of its whole life."""
        log = self._scratch / f"cachegrind-{name}-{len(list(self._scratch.iterdir()))}.log"
        with self.proxy(name, prefix=counting.cachegrind(log)) as proxy:
            yield proxy
        counts.append(counting.read_cachegrind(log))

    def wrk(self, proxy, seconds):
        """Requests per second that wrk(1) reaches, closed loop on 64 connections."""
        command = ["wrk", "-t1", "-c64", f"-d{seconds}s", f"http://127.0.0.1:{proxy.port}/small"]
        for line in self._run_client(command, seconds).splitlines():
            if line.startswith("Requests/sec:"):
                return float(line.split()[1])
        raise BenchError("wrk printed no rate")

    @contextlib.contextmanager
    def idle_connections(self, proxy, count, rate):
        """Holds `count` keep-alive connections that have each carried one request."""
        command = [*self._load_command(proxy), "--path", "/small", "--hold", "--connections", str(count),
                   "--rate", str(rate), "--timeout", "60"]  # memory, not time, is what is measured
        with self._process("idle clients", command, self.other_cores,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            result = json.loads(client.stdout.readline() or "{}")
            if result.get("errors") != 0:
                raise BenchError(f"{proxy.name}: could not hold {count} connections: {result}")
            yield

    def _run_client(self, command, seconds):
        done = subprocess.run(["taskset", "-c", _cpu_list(self.other_cores), *command], capture_output=True, text=True,
                              timeout=seconds + 60, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def _process(self, name, command, cores, environment=None, patience=PATIENCE, **streams):
        log = self._scratch / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(["taskset", "-c", _cpu_list(cores), *map(str, command)],
                                       stdin=streams.get("stdin", subprocess.DEVNULL),
                                       stdout=streams.get("stdout", output), stderr=output,
                                       env={**os.environ, **(environment or {})},
                                       preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
        process.log = log
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()

    def _await_answer(self, name, port, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/small", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if time.monotonic() > deadline:
                log = (self._scratch / f"{name}.log").read_text(errors="replace").strip().splitlines()
                raise BenchError(f"{name} does not answer within {patience} s; its last words: {' | '.join(log[-3:])}")
            time.sleep(0.02)

    def _free_port(self):
        while True:
            self._next_port += 1
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", self._next_port))
                    return self._next_port
                except OSError:
                    continue


def _cpu_list(cores):
    return ",".join(map(str, cores))

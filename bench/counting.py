"""Counts what a proxy does instead of timing it: numbers that another program on the machine hardly changes.

  system calls   by the kernel's tracepoints (perf stat), which add little to each; else by strace, which stops the proxy at
                 each call and so changes how many requests it finds waiting at once
  instructions   user mode only: by the processor's counter (perf stat), which most virtual machines lack; else by running
                 the proxy in cachegrind, twenty to fifty times slower, and subtracting a run with fewer requests

Which way works here is found out by trying it. When none does, the row is left out and says why.
"""
import functools
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

TRACEPOINTS, STRACE = "perf tracepoints", "strace"
COUNTER, CACHEGRIND = "the processor's counter", "cachegrind, difference of two runs"
_ALL = "raw_syscalls:sys_enter"
# The calls that a proxy makes for requests, for the reader who asks which; "all" counts the others too.
_NAMED = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "read", "readv", "recvfrom", "recvmsg", "write", "writev",
          "sendto", "sendmsg", "splice", "pipe2", "futex", "accept4", "connect", "close", "clock_gettime",
          "timerfd_settime", "io_uring_enter", "nanosleep", "sched_yield", "mmap", "munmap", "getsockopt",
          "setsockopt", "ioctl")


@functools.lru_cache(maxsize=None)
def calls_method():
    """How system calls can be counted here, or None."""
    if _perf_counts(_ALL):
        return TRACEPOINTS
    return STRACE if _works(["strace", "-c", "-f", "-o", "/dev/null", "true"]) else None


@functools.lru_cache(maxsize=None)
def instructions_method():
    """How user instructions can be counted here, or None."""
    if _perf_counts("instructions:u"):
        return COUNTER
    with tempfile.TemporaryDirectory(prefix="hotspare-bench-") as folder:
        log = pathlib.Path(folder) / "log"
        return CACHEGRIND if _works([*cachegrind(log), "true"]) and read_cachegrind(log) else None


def _works(command):
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _perf_counts(event):
    """True when this event of a program that surely has it is counted and not 0."""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", event, "--", "true"], capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode == 0 and any(read_perf(done.stderr).values())


def read_perf(text):
    """{event: count} of `perf stat -x,`; events that this kernel or machine does not have are left out."""
    counts = {}
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            counts[fields[2]] = int(fields[0])
    return counts


def read_strace(text):
    """{system call: count, "all": sum} of the table that `strace -c` prints."""
    counts = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[3].isdigit() and fields[-1] != "total":
            counts[fields[-1]] = int(fields[3])
    return {**counts, "all": sum(counts.values())}


def cachegrind(log):
    """The command that runs another in cachegrind, which does no more than count."""
    return ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={log}"]


def read_cachegrind(log):
    """The instructions of all processes that it watched; 0 when it did not come to its end. A process that was forked starts
    with the count of the other, which the difference of two runs takes away."""
    return sum(int(number.replace(",", "")) for number in re.findall(r"I +refs: +([\d,]+)", log.read_text()))


class _Watch:
    """A program that counts what these processes do while the block lasts."""

    def __init__(self, command, output):
        self._command = command
        self._output = output
        self._process = None

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # it does not say when it is attached
        return self

    def __exit__(self, *exception):
        self._process.send_signal(signal.SIGINT)  # it prints its sums and leaves the proxy alone
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def text(self):
        return self._output.read_text()


class Calls(_Watch):
    def __init__(self, pids, scratch):
        output = scratch / "calls"
        listed = ",".join(map(str, pids))
        if calls_method() == TRACEPOINTS:
            command = ["perf", "stat", "-x,", "-o", output, "-e", _ALL]
            for name in _available(_NAMED):
                command += ["-e", f"syscalls:sys_enter_{name}"]
            super().__init__([*command, "-p", listed], output)
        else:
            command = ["strace", "-c", "-f", "-o", output]
            for pid in pids:
                command += ["-p", str(pid)]
            super().__init__(command, output)

    def result(self):
        if calls_method() == STRACE:
            return read_strace(self.text())
        counts = read_perf(self.text())
        total = counts.pop(_ALL, 0)
        named = {event.partition("sys_enter_")[2]: count for event, count in counts.items() if count}
        return {**named, "others": max(0, total - sum(named.values())), "all": total}


class Instructions(_Watch):
    def __init__(self, pids, scratch):
        output = scratch / "instructions"
        super().__init__(["perf", "stat", "-x,", "-o", output, "-e", "instructions:u", "-p", ",".join(map(str, pids))], output)

    def result(self):
        return {"all": read_perf(self.text()).get("instructions:u", 0)}


@functools.lru_cache(maxsize=None)
def _available(names):
    done = subprocess.run(["perf", "list", "tracepoint"], capture_output=True, text=True, timeout=60, check=False)
    return [name for name in names if f"syscalls:sys_enter_{name} " in done.stdout]

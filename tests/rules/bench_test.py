"""The benchmark's configurations and report, without running a benchmark."""
import json
import pathlib
import re
import sys
import tempfile
import types
import unittest

sys.dont_write_bytecode = True  # no __pycache__ in the source tree
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import counting  # noqa: E402
import measures  # noqa: E402
import proxies  # noqa: E402
import report  # noqa: E402

VALUES = {"port": 1, "workers": 2, "origin1": 3, "origin2": 4, "run": "/run", "program": "/program"}


class Fake:
    """What the report asks of a benchmark."""
    workers, proxy_cores, other_cores = 1, [0], [1]

    def version(self, name):
        return f"{name} 1.0"

    def config_text(self, name):
        return f"of {name}"


def assembled(values, counts=None, names=tuple(proxies.KINDS)):
    arguments = types.SimpleNamespace(proxies=list(names))
    counts = {"parts": {}, "failures": [], **(counts or {})}
    return report.assemble(Fake(), measures.QUICK._replace(rate=1000), arguments, values, counts, 12)


def every_value():
    """Two rounds of every measure but what is counted; hotspare has 100, every other proxy a different larger one."""
    rounds = {name: [100 + 10 * number, 102 + 10 * number] for number, name in enumerate(proxies.KINDS)}
    return {measure: {name: list(each) for name, each in rounds.items()} for measure in report.ROWS}


def configured(name, load):
    bench = proxies.Bench(ROOT, ROOT, ROOT, 1, [0], [1])
    return bench.rendered(name, {**VALUES, "buffer": proxies.KINDS[name].buffers[load]})


def settings(text):
    """The configuration without its comments."""
    return "\n".join(line for line in (line.split("#")[0].rstrip() for line in text.splitlines()) if line)


class Configurations(unittest.TestCase):
    peers = [name for name in proxies.KINDS if proxies.KINDS[name].template]

    def test_every_peer_has_both_variants(self):
        self.assertEqual(sorted(self.peers), sorted(f"{peer}-{variant}" for peer in proxies.PEERS
                                                    for variant in proxies.VARIANTS))

    def test_each_is_filled_in_for_every_load(self):
        for name in self.peers:
            for load in (proxies.SMALL, proxies.BODIES):
                with self.subTest(name=name, load=load):
                    text = settings(configured(name, load))
                    self.assertNotIn("@", text)
                    self.assertIn(str(proxies.KINDS[name].buffers[load]), text)

    def test_what_is_not_known_is_an_error(self):
        with self.assertRaisesRegex(proxies.BenchError, "@BUFFER@"):
            proxies.Bench(ROOT, ROOT, ROOT, 1, [0], [1]).rendered("nginx-plain", VALUES)

    def test_no_template_is_without_a_use(self):
        files = {path.name for path in (ROOT / "bench/peers").iterdir()}
        self.assertEqual(files, {proxies.KINDS[name].template for name in self.peers})

    def test_a_plain_peer_only_proxies(self):
        # What checks, retries or goes to a second server.
        words = re.compile(r"httpchk|\bcheck\b|retry-on|redispatch|health_|lb_|fail_duration|fail_timeout|backup|"
                           r"127\.0\.0\.1:4\b|next_upstream (?!off)|retries [1-9]|forwardfor|X-Forwarded")
        for name in self.peers:
            with self.subTest(name=name):
                found = words.search(settings(configured(name, proxies.SMALL)))
                (self.assertIsNone if name.endswith(proxies.PLAIN) else self.assertIsNotNone)(found)

    def test_a_peer_s_name_means_both_variants(self):
        self.assertEqual(proxies.chosen(["nginx", "hotspare"]), ["hotspare", "nginx-plain", "nginx-same-job"])
        self.assertEqual(proxies.chosen(["caddy-plain"]), ["caddy-plain"])
        self.assertEqual(proxies.chosen(["balancer", "bodies"]), [])


class Report(unittest.TestCase):
    def test_shows_every_measure_of_both_variants(self):
        result = assembled(every_value())
        for text in (report.table(result), report.markdown(result)):
            for title, _, _, _ in report.ROWS.values():
                self.assertGreaterEqual(text.count(title), 2, title)
        rows = [line for line in report.table(result).splitlines() if re.search(r"\d$", line)]
        self.assertEqual(len(rows), 2 * len(report.ROWS))
        self.assertLessEqual(max(map(len, rows)), 80)

    def test_holds_a_target_against_the_faster_variant(self):
        values = every_value()
        values["saturation_cpu_us"] = {"hotspare": [95], "nginx-plain": [100], "nginx-same-job": [200],
                                       "haproxy-plain": [300], "haproxy-same-job": [97]}
        verdict = next(line for line in report.table(assembled(values)).splitlines() if "user+system CPU, saturated:" in line)
        self.assertEqual(verdict, "MISSED user+system CPU, saturated: 95.00 <= 94.09 us (0.97 x haproxy-same-job)")
        values["saturation_cpu_us"]["hotspare"] = [94]
        self.assertIn("met    user+system CPU, saturated: 94.00", report.table(assembled(values)))

    def test_sums_up_all_proxies(self):
        text = report.markdown(assembled(every_value()))
        self.assertIn("| | hotspare | nginx plain | nginx same job | HAProxy plain | HAProxy same job | Caddy plain | "
                      "Caddy same job | target |", text)
        self.assertIn("| user CPU per request, saturated, us | 101.00 | 111.00 | 141.00 | 121.00 | 151.00 | 131.00 | 161.00 | "
                      "\u2264 0.75 \u00d7 HAProxy, \u2264 nginx |", text)

    def test_has_no_verdict_where_a_peer_is_missing(self):
        values = {"saturation_rate": {"hotspare": [2], "nginx-plain": [1]}}
        self.assertNotIn("met ", report.table(assembled(values, names=["hotspare", "nginx-plain"])))

    def test_says_what_was_not_counted(self):
        values = {"calls_64": {"hotspare": [4.4], "nginx-plain": [5], "nginx-same-job": [5]}}
        counts = {"failures": ["instructions of caddy-plain: no"], "calls": counting.STRACE,
                  "parts": {"calls_64": {"hotspare": {"sendto": 2.0}}}}
        text = report.markdown(assembled(values, counts))
        self.assertIn("| system calls per request, 64 conn. |  | 4.40 | 5.00 | - | - | 0.88 |", text)
        self.assertIn("Not counted: instructions of caddy-plain: no.", text)
        self.assertIn("counted by strace; strace stops", text)
        self.assertIn("- hotspare, 64 connections: sendto 2.00", text)
        self.assertIn("MISSED system calls per request, 64 conn.: 4.40 <= 4.3", text)

    def test_says_which_buffers_a_peer_had(self):
        text = report.markdown(assembled(every_value()))
        self.assertIn("- haproxy-plain: haproxy-plain 1.0; buffers of 16 KiB for small requests, 64 KiB for bodies\n", text)
        self.assertIn("- hotspare: hotspare 1.0\n", text)

    def test_is_written_under_its_name(self):
        with tempfile.TemporaryDirectory() as folder:
            result = assembled(every_value())
            paths = report.write(result, pathlib.Path(folder), "some")
            self.assertEqual([path.name for path in paths], ["some.md", "some.json"])
            self.assertEqual(json.loads(paths[1].read_text()), result)


class Counting(unittest.TestCase):
    def test_reads_perf(self):
        text = "# started on Mon\n\n1200,,raw_syscalls:sys_enter,100,100.00,,\n" \
               "<not supported>,,instructions:u,0,100.00,,\n0,,syscalls:sys_enter_read,1,100.00,,\n"
        self.assertEqual(counting.read_perf(text), {"raw_syscalls:sys_enter": 1200, "syscalls:sys_enter_read": 0})

    def test_reads_strace(self):
        text = "% time     seconds  usecs/call     calls    errors syscall\n" \
               "------ ----------- ----------- --------- --------- ----------------\n" \
               " 60.00    0.001200           3       400        12 recvfrom\n" \
               " 40.00    0.000800           2       300           sendto\n" \
               "------ ----------- ----------- --------- --------- ----------------\n" \
               "100.00    0.002000           2       700        12 total\n"
        self.assertEqual(counting.read_strace(text), {"recvfrom": 400, "sendto": 300, "all": 700})

    def test_reads_cachegrind(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            log.write_text("==1== Cachegrind\n==2== I   refs:      1,234,567\n==1== I refs: 3\n")
            self.assertEqual(counting.read_cachegrind(log), 1234570)


class Published(unittest.TestCase):
    def test_readme_has_what_was_measured(self):
        def rows(text):
            table = text[text.index("| | hotspare | nginx plain |"):].split("\n\n")[0]
            return table.splitlines()

        measured = rows((ROOT / "bench/results/latest.md").read_text(encoding="utf-8"))
        shown = rows((ROOT / "README.md").read_text(encoding="utf-8"))
        self.assertGreater(len(shown), 10)
        self.assertEqual([row for row in shown if row not in measured], [])


if __name__ == "__main__":
    unittest.main()

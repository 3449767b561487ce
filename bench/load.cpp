// The benchmark's client: one load, one line of JSON with exact quantiles. See http_load.hpp for what open and closed
// loop mean. bench/run starts it; it is as useful by hand:
//
//   bench_load --target 127.0.0.1:5000 --path /data --connections 64 --rate 5000 --seconds 5
#include "bench/http_load.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

namespace {

using namespace hotspare::bench;

struct Options {
    std::string target;
    double seconds = 5;
    double warmup = 0.5;
    double timeout = 10;
    bool hold = false;
    LoadPlan plan;
};

struct Tally {
    std::uint64_t requests = 0; ///< all of them, warm-up included: what CPU time is divided by
    std::uint64_t errors = 0;
    std::vector<Clock::duration> latencies; ///< of the requests answered with 2xx that were due after the warm-up
    Clock::time_point last;
};

Options parse(int argc, char** argv)
{
    Options options;
    CLI::App app("Loads an HTTP/1.1 server and prints one line of JSON.");
    app.add_option("--target", options.target, "HOST:PORT")->required();
    app.add_option("--path", options.plan.path, "what to ask for");
    auto* post = app.add_option("--post", options.plan.body, "POST a body of this many bytes instead of GET");
    app.add_option("--connections", options.plan.connections, "keep-alive connections")->check(CLI::PositiveNumber);
    auto* rate =
        app.add_option("--rate", options.plan.rate, "requests per second, open loop; 0 = as fast as answers come");
    app.add_option("--seconds", options.seconds, "how long, warm-up included")->check(CLI::PositiveNumber);
    app.add_option("--warmup", options.warmup, "seconds at the start that the quantiles leave out");
    app.add_option("--timeout", options.timeout, "seconds after which an answer counts as lost");
    app.add_flag("--hold", options.hold,
                 "one request on each connection, then keep them all open until standard input ends")
        ->needs(rate);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    if (*post) options.plan.method = "POST";
    if (options.hold) { // opened at the pace of the requests: a burst would overflow the listener's queue
        options.plan.most_connections = std::exchange(options.plan.connections, 0);
        options.plan.prefer_new = true;
        options.seconds = options.plan.most_connections / options.plan.rate;
    }
    const auto duration = [](double s) {
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
    };
    options.plan.target = Endpoint::parse(options.target);
    options.plan.duration = duration(options.seconds);
    options.plan.timeout = duration(options.timeout);
    return options;
}

void print(Tally& tally, double seconds)
{
    std::sort(tally.latencies.begin(), tally.latencies.end());
    const auto us = [&](double share) {
        return std::chrono::duration<double, std::micro>(quantile(tally.latencies, share)).count();
    };
    fmt::print("{{\"requests\":{},\"errors\":{},\"seconds\":{:.6f},\"per_second\":{:.1f},\"p50_us\":{:.1f},"
               "\"p90_us\":{:.1f},\"p99_us\":{:.1f},\"p999_us\":{:.1f},\"max_us\":{:.1f}}}\n",
               tally.requests, tally.errors, seconds, static_cast<double>(tally.requests - tally.errors) / seconds,
               us(0.5), us(0.9), us(0.99), us(0.999), us(1));
    std::fflush(stdout);
}

void run(const Options& options)
{
    Tally tally;
    tally.latencies.reserve(1U << 22U); // growing in mid-run would stall the load itself
    Clock::time_point measure_from;
    HttpLoad load(options.plan, [&](const Sample& sample) {
        ++tally.requests;
        tally.last = sample.done;
        const bool good = sample.outcome == Outcome::answered && sample.status / 100 == 2;
        if (!good)
            ++tally.errors;
        else if (sample.due >= measure_from)
            tally.latencies.push_back(sample.done - sample.due);
    });
    const auto start = Clock::now();
    measure_from = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.warmup));
    load.run();
    print(tally, std::chrono::duration<double>(tally.last - start).count());
    while (options.hold && std::getchar() != EOF) {
    }
}

} // namespace

int main(int argc, char** argv)
{
    try {
        run(parse(argc, argv));
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_load: {}\n", error.what());
        return 2;
    }
}

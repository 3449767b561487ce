#include "experiment/inject/target.hpp"

#include "common/json_document.hpp"
#include "common/version.hpp"
#include "experiment/load/fetch.hpp"
#include "experiment/record/json_line.hpp"

#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

constexpr Duration ready_time = seconds(15);
constexpr unsigned balancer_workers = 2;
constexpr Duration look_again = milliseconds(10);
constexpr Duration ask_time = seconds(1);

config::HostPort loopback(std::uint16_t port)
{
    return {"127.0.0.1", port};
}

std::string url(std::uint16_t port)
{
    return fmt::format("http://127.0.0.1:{}", port);
}

std::string read_file(const fs::path& path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void replace_all(std::string& text, std::string_view what, std::string_view by)
{
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

/// How one of the peers is started; `@CONFIG@` is its filled-in configuration.
struct Peer {
    std::string_view balancer;
    const char* program;
    const char* config;
    std::vector<std::string> arguments;
    std::vector<std::string> version;
};

const std::vector<Peer>& peers()
{
    static const std::vector<Peer> all{
        {"nginx", "nginx", "nginx.conf", {"-c", "@CONFIG@"}, {"-v"}},
        {"haproxy", "haproxy", "haproxy.cfg", {"-db", "-f", "@CONFIG@"}, {"-v"}},
        {"caddy", "caddy", "Caddyfile", {"run", "--adapter", "caddyfile", "--config", "@CONFIG@"}, {"version"}},
    };
    return all;
}

const Peer* peer_of(std::string_view balancer)
{
    const auto found = std::ranges::find(peers(), balancer, &Peer::balancer);
    return found == peers().end() ? nullptr : &*found;
}

/// The first line that the program says of its version.
std::string version_of(const fs::path& program, const std::vector<std::string>& arguments, const fs::path& directory)
{
    const auto log = directory / "version.log";
    process::Child child({.program = program, .arguments = arguments}, log);
    child.wait_exit(seconds(5));
    std::string line;
    std::ifstream in(log);
    std::getline(in, line);
    return line;
}

OrderedJson machine()
{
    utsname name{};
    ::uname(&name);
    std::string model = "unknown";
    std::ifstream cpus("/proc/cpuinfo");
    for (std::string line; std::getline(cpus, line);)
        if (line.starts_with("model name")) {
            model = line.substr(std::min(line.find(':') + 2, line.size()));
            break;
        }
    std::string load;
    std::ifstream("/proc/loadavg") >> load;
    return {{"cpu", model},
            {"cores", std::thread::hardware_concurrency()},
            {"system", fmt::format("{} {} {}", name.sysname, name.release, name.machine)},
            {"load_average", load}};
}

/// Waits until `answers` is true. Throws StartupError with the child's last words.
void await(const TestbedOptions& options, const std::string& who, const process::Child& child,
           const std::function<bool()>& answers)
{
    const TimePoint deadline = Clock::now() + ready_time;
    while (!answers()) {
        if (options.interrupted != nullptr && *options.interrupted) throw StartupError("interrupted");
        if (child.running() && Clock::now() < deadline) {
            std::this_thread::sleep_for(look_again);
            continue;
        }
        throw StartupError(fmt::format("{} {}; its last words: {}", who,
                                       child.running() ? "does not answer" : "ended at once", child.last_words()));
    }
}

bool answers(const config::HostPort& at, const std::string& path)
{
    const auto answer = fetch(at, http::verb::get, path, ask_time);
    return answer && answer->result_int() == 200;
}

bool needs_gate(const Plan& plan, const std::string& backend)
{
    return std::ranges::any_of(plan.method,
                               [&](const Step& step) { return step.on == backend && is_gate_fault(step.fault); });
}

Party start_backend(const Plan& plan, const TestbedOptions& options, const std::string& name)
{
    Party party;
    party.name = name;
    const auto port = process::free_port();
    const auto control = process::free_port();
    const process::Command command{.program = options.programs / name / name,
                                   .arguments = {"--port", std::to_string(port), "--control-port",
                                                 std::to_string(control), "--data",
                                                 (options.directory / "data.sqlite").string(), "--ledger",
                                                 (options.directory / (name + ".ledger")).string()}};
    party.child = std::make_unique<process::Child>(command, options.directory / (name + ".log"));
    party.control = loopback(control);
    party.address = loopback(port);
    await(options, name, *party.child, [&] { return answers(*party.control, "/health"); });
    if (needs_gate(plan, name)) {
        party.gate = std::make_unique<Gate>(port, options.seed);
        party.address = loopback(party.gate->port());
    }
    return party;
}

struct Ports {
    std::uint16_t own, primary, spare;
};

std::string fill_in(std::string text, const TestbedOptions& options, const Ports& ports)
{
    replace_all(text, "@PORT@", std::to_string(ports.own));
    replace_all(text, "@PRIMARY@", std::to_string(ports.primary));
    replace_all(text, "@SPARE@", std::to_string(ports.spare));
    replace_all(text, "@RUN@", options.directory.string());
    return text;
}

/// Writes the filled-in template beside the logs.
fs::path configure(const fs::path& file, const TestbedOptions& options, const Ports& ports)
{
    const auto to = options.directory / file.filename();
    std::ofstream(to) << fill_in(read_file(file), options, ports);
    return to;
}

process::Command hotspare_command(const TestbedOptions& options, const Ports& ports, const fs::path& access_log)
{
    process::Command command{
        .program = options.programs / "balancer" / "balancer",
        .arguments = {"--workers", std::to_string(balancer_workers), "--access-log", access_log.string()}};
    const auto add = [&](std::initializer_list<std::string> more) {
        command.arguments.insert(command.arguments.end(), more);
    };
    if (!options.balancer_config.empty())
        add({"--config", configure(options.balancer_config, options, ports).string()});
    else
        add({"--listen", fmt::format("127.0.0.1:{}", ports.own), "--backend", "primary=" + url(ports.primary),
             "--backend", "spare=" + url(ports.spare)});
    return command;
}

process::Command peer_command(const Peer& peer, const TestbedOptions& options, const Ports& ports)
{
    const auto config = configure(options.peers / peer.config, options, ports);
    process::Command command{.program = *program_of(peer.balancer, options.programs),
                             .arguments = peer.arguments,
                             // Caddy keeps its state there, and runs as many threads.
                             .environment = {{"GOMAXPROCS", "2"},
                                             {"XDG_CONFIG_HOME", options.directory.string()},
                                             {"XDG_DATA_HOME", options.directory.string()}}};
    for (auto& argument : command.arguments) replace_all(argument, "@CONFIG@", config.string());
    return command;
}

/// The part of `text` before the first `separator`, and the part behind it.
std::pair<std::string, std::string> split(const std::string& text, char separator, std::string_view flag)
{
    const auto at = text.find(separator);
    if (at == std::string::npos || at == 0 || at + 1 == text.size())
        throw UsageError(fmt::format("{}: '{}' is not NAME{}VALUE", flag, text, separator));
    return {text.substr(0, at), text.substr(at + 1)};
}

config::HostPort address_of(const std::string& origin, std::string_view flag)
{
    const auto parsed = config::parse_http_origin(origin);
    if (!parsed) throw UsageError(fmt::format("{}: {}", flag, parsed.error().message));
    return resolve(*parsed);
}

} // namespace

Party* Target::party(std::string_view wanted) noexcept
{
    const auto found = std::ranges::find(parties, wanted, &Party::name);
    return found == parties.end() ? nullptr : &*found;
}

std::string Target::unwell() const
{
    if (!has_events) return {};
    const auto answer = fetch(address, http::verb::get, "/status", ask_time);
    const auto status = answer ? read_json_document(answer->body()) : nlohmann::json();
    if (!status.is_object() || !status.contains("backends")) return "the balancer's /status cannot be read";
    for (const auto& backend : status["backends"])
        if (const auto word = backend.value("status", "?"); word != "healthy")
            return fmt::format("the balancer holds {} for {}", backend.value("name", "?"), word);
    return {};
}

void Target::end()
{
    // In front first: it must still be able to finish what it has begun.
    for (auto party = parties.rbegin(); party != parties.rend(); ++party)
        if (party->child) party->child->end();
}

std::string Target::name_of(std::string_view said) const
{
    // nginx names every server that it asked; the last one answered.
    if (const auto comma = said.rfind(','); comma != std::string_view::npos) said.remove_prefix(comma + 1);
    const auto word = boost::algorithm::trim_copy(std::string(said));
    const auto known = names.find(word);
    return known == names.end() ? word : known->second;
}

std::string Target::served_by(std::string_view header) const
{
    constexpr std::string_view field = "X-Served-By:";
    for (auto line = header.find("\r\n"); line != std::string_view::npos; line = header.find("\r\n", line + 2)) {
        auto rest = header.substr(line + 2);
        if (rest.size() < field.size() || !boost::algorithm::iequals(rest.substr(0, field.size()), field)) continue;
        rest = rest.substr(field.size(), rest.find("\r\n") - field.size());
        return name_of(rest);
    }
    return {};
}

std::optional<fs::path> program_of(std::string_view balancer, const fs::path& programs)
{
    if (balancer == "hotspare") {
        const auto path = programs / "balancer" / "balancer";
        return fs::exists(path) ? std::optional(path) : std::nullopt;
    }
    const Peer* peer = peer_of(balancer);
    if (peer == nullptr) return std::nullopt;
    const char* path = std::getenv("PATH");
    // Debian keeps servers in /usr/sbin, which is not on every user's PATH.
    std::istringstream folders(std::string(path != nullptr ? path : "") + ":/usr/sbin:/usr/bin");
    for (std::string folder; std::getline(folders, folder, ':');)
        if (const auto candidate = fs::path(folder) / peer->program;
            !folder.empty() && ::access(candidate.c_str(), X_OK) == 0)
            return candidate;
    return std::nullopt;
}

Target start_testbed(const Plan& plan, const TestbedOptions& options)
{
    const auto program = program_of(options.balancer, options.programs);
    const Peer* peer = peer_of(options.balancer);
    if (!program && (peer != nullptr || options.balancer == "hotspare"))
        throw UsageError(fmt::format("{} is not installed", options.balancer));
    if (!program) throw UsageError(fmt::format("there is no balancer '{}'", options.balancer));

    Target target;
    target.name = options.balancer;
    target.has_events = peer == nullptr;
    for (const std::string name : {"primary", "spare"}) {
        target.parties.push_back(start_backend(plan, options, name));
        target.backends.push_back(name);
        target.ledgers[name] = options.directory / (name + ".ledger");
        const auto& at = *target.parties.back().address;
        target.names[fmt::format("{}:{}", at.host, at.port)] = name;
        target.names[name] = name;
    }
    const Ports ports{process::free_port(), target.parties[0].address->port, target.parties[1].address->port};
    target.address = loopback(ports.own);
    target.host = fmt::format("127.0.0.1:{}", ports.own);

    Party balancer;
    balancer.name = "balancer";
    balancer.address = target.address;
    if (peer == nullptr) target.access_log = options.directory / "access.jsonl";
    auto command =
        peer == nullptr ? hotspare_command(options, ports, target.access_log) : peer_command(*peer, options, ports);
    if (peer == nullptr) {
        // As a supervisor does: while there is no balancer, the kernel keeps new connections for the next one.
        auto sockets = process::open_listeners(target.address, balancer_workers);
        if (!sockets) throw StartupError(fmt::format("port {}: {}", ports.own, sockets.error().message()));
        balancer.sockets = std::move(*sockets);
        for (const Fd& socket : balancer.sockets) command.sockets.push_back({"listen", socket.get()});
    }
    balancer.child = std::make_unique<process::Child>(std::move(command), options.directory / "balancer.log");
    target.parties.push_back(std::move(balancer));
    await(options, options.balancer, *target.parties.back().child, [&] { return answers(target.address, "/data"); });

    const bool defaults = peer == nullptr && options.balancer_config.empty();
    const auto file = peer == nullptr ? fs::path(options.balancer_config) : options.peers / peer->config;
    target.environment = json_text(
        nlohmann::ordered_json{{"machine", machine()},
                               {"hotspare", version()},
                               {"balancer", peer == nullptr ? fmt::format("hotspare {}", version())
                                                            : version_of(*program, peer->version, options.directory)},
                               {"configuration", defaults ? "defaults" : read_file(file)}});
    return target;
}

Target attach(const Plan& plan, const AttachOptions& options)
{
    for (const Step& step : plan.method)
        if (!options.supervised && (step.fault == FaultKind::crash || step.fault == FaultKind::stop))
            throw UsageError(fmt::format("the fault '{}' on '{}' cannot be undone: an experiment does not start a "
                                         "process of a --target again; if its supervisor does, add --supervised",
                                         describe(step), step.on));

    Target target;
    target.name = options.url;
    const auto origin = config::parse_http_origin(options.url);
    if (!origin) throw UsageError(fmt::format("--target: {}", origin.error().message));
    target.address = resolve(*origin);
    target.host = config::format_host_port(*origin);

    const auto party = [&](const std::string& name) -> Party& {
        if (Party* known = target.party(name)) return *known;
        target.parties.emplace_back().name = name;
        return target.parties.back();
    };
    for (const auto& backend : options.backends) {
        const auto [name, at] = split(backend, '=', "--backend");
        Party& known = party(name);
        known.address = known.control = address_of(at, "--backend");
        target.backends.push_back(name);
    }
    for (const auto& process : options.processes) {
        const auto [name, which] = split(process, '=', "--process");
        party(name).foreign = std::make_unique<process::Foreign>(which);
    }
    for (const auto& ledger : options.ledgers) {
        const auto [name, file] = split(ledger, '=', "--ledger");
        if (!fs::is_regular_file(file)) throw UsageError(fmt::format("--ledger: {} is not a file", file));
        target.ledgers[name] = file;
    }
    if (const auto why = not_possible(plan, target); !why.empty()) throw UsageError(why);
    const auto front = fetch(target.address, http::verb::get, "/status", ask_time);
    if (!front) throw UsageError(fmt::format("--target: {} does not answer: {}", options.url, front.error().message()));
    // Hotspare's own: it says what happens, and which backends it has.
    const auto status = read_json_document(front->body());
    if (front->result_int() == 200 && status.is_object() && status.contains("backends") &&
        status["backends"].is_array() && status.contains("failovers")) {
        target.has_events = true;
        for (const auto& backend : status["backends"]) {
            const auto name = backend.value("name", "");
            if (std::ranges::find(target.backends, name) == target.backends.end()) target.backends.push_back(name);
        }
    }
    for (const auto& name : target.backends) {
        target.names[name] = name;
        if (!target.ledgers.empty() && !target.ledgers.contains(name))
            throw UsageError(
                fmt::format("--ledger: that of '{}' is missing; what only some count is not counted", name));
    }
    target.environment = json_text(nlohmann::ordered_json{
        {"machine", machine()}, {"hotspare", version()}, {"balancer", "unknown"}, {"configuration", "not ours"}});
    return target;
}

std::string not_possible(const Plan& plan, Target& target)
{
    for (const Step& step : plan.method) {
        const Party* party = target.party(step.on);
        const auto missing = [&](std::string_view means) {
            return fmt::format("the fault '{}' on '{}' cannot be made: {}", describe(step), step.on, means);
        };
        if (party == nullptr && target.parties.empty())
            return missing(fmt::format("nothing is known of it; --process {0}=PIDFILE tells its process, --backend "
                                       "{0}=http://HOST:PORT its address",
                                       step.on));
        if (party == nullptr) {
            std::string known;
            for (const Party& other : target.parties) known += (known.empty() ? "" : ", ") + other.name;
            return missing(fmt::format("known are {}", known));
        }
        if (is_process_fault(step.fault) && !party->child && !party->foreign)
            return missing(fmt::format("its process is not known; --process {}=PIDFILE tells it", step.on));
        if (step.fault == FaultKind::restart && !party->child) return missing("only what runs here can be restarted");
        if (step.fault == FaultKind::mode && !party->control)
            return missing(fmt::format("its address is not known; --backend {}=http://HOST:PORT tells it", step.on));
        if (is_gate_fault(step.fault) && !party->gate)
            return missing("a gate stands only in front of servers that the experiment starts itself");
    }
    for (const RollbackRequest& request : plan.rollback) {
        const Party* party = target.party(request.on);
        if (party == nullptr || (!party->control && !party->address))
            return fmt::format("the rollback asks '{}', whose address is not known", request.on);
    }
    return {};
}

void collect(const Target& target, std::string_view id_prefix, Run& run)
{
    const auto index_of = [&](std::string_view id) -> std::optional<std::uint64_t> {
        if (!id.starts_with(id_prefix) || id.size() <= id_prefix.size() || id[id_prefix.size()] != '-') return {};
        id.remove_prefix(id_prefix.size() + 1);
        std::uint64_t index = 0;
        const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), index);
        if (error != std::errc() || end != id.data() + id.size()) return {};
        return index;
    };
    for (const auto& [backend, path] : target.ledgers) {
        std::map<std::uint64_t, std::uint32_t> times;
        std::ifstream in(path);
        for (std::string line; std::getline(in, line);)
            if (const auto index = index_of(line.substr(0, line.find(' ')))) ++times[*index];
        for (const auto& [index, count] : times) run.executions.push_back({index, backend, count});
    }
    if (target.access_log.empty()) return;
    std::ifstream in(target.access_log);
    for (std::string line; std::getline(in, line);) {
        const auto record = read_json_document(line);
        if (!record.is_object()) continue; // cut off by the death of the balancer
        const auto index = index_of(record.value("request_id", ""));
        if (!index) continue;
        const auto sample = std::ranges::lower_bound(run.samples, *index, {}, &Sample::index);
        if (sample == run.samples.end() || sample->index != *index) continue;
        for (const auto& hop : record.value("attempts", nlohmann::json::array()))
            sample->trail.push_back({.backend = hop.value("backend", ""),
                                     .outcome = hop.value("outcome", ""),
                                     .ms = hop.value("ms", 0.),
                                     .hedge = hop.value("hedge", false),
                                     .status = hop.value("status", 0U)});
    }
}

} // namespace hotspare::experiment

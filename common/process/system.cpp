#include "common/process/system.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <sstream>
#include <utility>

using namespace std::string_view_literals;

namespace hotspare::config {

template <> struct EnumNames<process::RestartWhen> {
    static constexpr std::array names{
        std::pair{"on_failure"sv, process::RestartWhen::on_failure},
        std::pair{"always"sv, process::RestartWhen::always},
    };
};

template <> struct EnumNames<process::StopSignal> {
    static constexpr std::array names{
        std::pair{"TERM"sv, process::StopSignal::term},
        std::pair{"INT"sv, process::StopSignal::interrupt},
        std::pair{"QUIT"sv, process::StopSignal::quit},
    };
};

} // namespace hotspare::config

namespace hotspare::process {
namespace {

constexpr std::string_view http = "http://", tcp = "tcp://";
constexpr unsigned most_ports = 65535;

bool is_program(const std::string& text)
{
    return config::is_name(text);
}

/// One ${…} of a value.
struct Variable {
    std::size_t begin, end; ///< the whole of it
    std::string_view name;  ///< what stands in the braces; from "${" on if they are not closed, which is no known name
};

std::optional<Variable> next_variable(std::string_view text, std::size_t from)
{
    const auto begin = text.find("${", from);
    if (begin == std::string_view::npos) return std::nullopt;
    const auto close = text.find('}', begin);
    if (close == std::string_view::npos) return Variable{begin, text.size(), text.substr(begin)};
    return Variable{begin, close + 1, text.substr(begin + 2, close - begin - 2)};
}

std::vector<std::string_view> variables_in(std::string_view text)
{
    std::vector<std::string_view> names;
    for (auto variable = next_variable(text, 0); variable; variable = next_variable(text, variable->end))
        names.push_back(variable->name);
    return names;
}

/// The N of "port:N".
std::optional<unsigned> port_in(std::string_view name)
{
    constexpr std::string_view prefix = "port:";
    if (!name.starts_with(prefix)) return std::nullopt;
    const auto number = config::parse_unsigned(name.substr(prefix.size()), most_ports);
    return number ? std::optional(static_cast<unsigned>(*number)) : std::nullopt;
}

bool is_known(std::string_view name)
{
    return name == "run" || name == "run_in_url" || name == "config" || port_in(name);
}

/// As a part of a URL (RFC 3986 §2.1).
std::string percent_encoded(std::string_view path)
{
    std::string out;
    for (const char c : path) {
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                           "/._~-"sv.find(c) != std::string_view::npos;
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

std::string fill_in(std::string_view text, const Instance& instance)
{
    std::string out;
    std::size_t done = 0;
    while (const auto variable = next_variable(text, done)) {
        out += text.substr(done, variable->begin - done);
        done = variable->end;
        if (const auto port = port_in(variable->name)) {
            const unsigned shifted = *port + instance.port_offset;
            if (shifted > most_ports)
                throw UsageError(fmt::format("port {} + {} is more than {}, expected a smaller offset", *port,
                                             instance.port_offset, most_ports));
            out += std::to_string(shifted);
        } else if (variable->name == "run") {
            out += instance.run;
        } else if (variable->name == "run_in_url") {
            out += percent_encoded(instance.run);
        } else {
            out += instance.config;
        }
    }
    return out += text.substr(done);
}

/// The same with every variable as port 1: for the shape of a value.
std::string shape_of(std::string_view text)
{
    std::string out;
    std::size_t done = 0;
    while (const auto variable = next_variable(text, done)) {
        out += text.substr(done, variable->begin - done);
        out += "1";
        done = variable->end;
    }
    return out += text.substr(done);
}

std::optional<Readiness> parse_readiness(std::string_view text)
{
    const bool is_http = text.starts_with(http);
    if (!is_http && !text.starts_with(tcp)) return std::nullopt;
    text.remove_prefix(is_http ? http.size() : tcp.size());
    const auto slash = text.find('/');
    const auto address = config::parse_host_port(text.substr(0, slash));
    if (!address || is_http != (slash != std::string_view::npos)) return std::nullopt;
    return Readiness{*address, is_http ? std::string(text.substr(slash)) : ""};
}

/// Every text of a daemon that may hold variables.
std::array<const std::string*, 3> texts_of(const Daemon& daemon)
{
    return {&daemon.arguments, &daemon.listen, &daemon.ready};
}

} // namespace

int number_of(StopSignal signal) noexcept
{
    switch (signal) {
    case StopSignal::term: return SIGTERM;
    case StopSignal::interrupt: return SIGINT;
    case StopSignal::quit: return SIGQUIT;
    }
    return SIGTERM;
}

void fields(config::Fields& field, Daemon& d)
{
    field("name", d.name, "of the daemon, in `status`, `logs` and `stop`", {config::is_name, config::a_name});
    field("program", d.program, "a program of the suite, or a script of engines/", {is_program, config::a_name});
    field("arguments", d.arguments,
          "separated by blanks; ${port:N} is N plus the port offset, ${run} the folder of the data, ${config} that of "
          "this file");
    field("after", d.after, "daemons above this one that are ready before it starts, and end after it");
    field("listen", d.listen,
          "HOST:PORT that the supervisor opens and hands down to the daemon; empty: it opens its own");
    field("sockets", d.sockets, "number of sockets on `listen`; 0 = one for each core", {{}, 1024});
    field("ready", d.ready, "http://HOST:PORT/PATH that answers 2xx, or tcp://HOST:PORT that accepts, once it works");
    field("ready_within", d.ready_within, "from its start to `ready`", {milliseconds(1), seconds(3600)});
    field("stop_signal", d.stop_signal, "asks it to end");
    field("stop_within", d.stop_within, "from that signal to its end; then it is killed",
          {milliseconds(1), seconds(3600)});
    field("restart", d.restart, "on_failure: not after exit code 0; always: also then; neither after 2, bad usage");
    field("restart_after", d.restart_after,
          "pause before the first restart, if longer than the supervisor's `restart.first_pause`",
          {Duration::zero(), seconds(3600)});
}

void fields(config::Fields& field, System& s)
{
    field("daemons", s.daemons, "what runs",
          {[](const std::vector<Daemon>& all) { return !all.empty(); }, "at least one daemon"});
}

void finish(System& system, const config::Places& places)
{
    for (std::size_t i = 0; i < system.daemons.size(); ++i) {
        const Daemon& daemon = system.daemons[i];
        const auto fail = [&](std::string_view key, const std::string& message) {
            places.fail(fmt::format("daemons[{}].{}", i, key), message);
        };
        const auto above = [&](const std::string& name) {
            return std::any_of(system.daemons.begin(), system.daemons.begin() + static_cast<std::ptrdiff_t>(i),
                               [&](const Daemon& other) { return other.name == name; });
        };
        if (above(daemon.name)) fail("name", fmt::format("'{}' is given twice", daemon.name));
        for (const std::string& name : daemon.after)
            if (!above(name)) fail("after", fmt::format("{} is no daemon above this one", config::in_quotes(name)));
        constexpr std::array keys{"arguments", "listen", "ready"};
        for (std::size_t k = 0; k < keys.size(); ++k) {
            const std::string& text = *texts_of(daemon)[k];
            for (const std::string_view name : variables_in(text))
                if (!is_known(name))
                    fail(keys[k], fmt::format("{} is not known, expected ${{port:N}}, ${{run}}, ${{run_in_url}} or "
                                              "${{config}}",
                                              config::in_quotes(fmt::format("${{{}}}", name))));
        }
        if (!daemon.listen.empty() && !config::parse_host_port(shape_of(daemon.listen)))
            fail("listen", fmt::format("{} is not HOST:PORT", config::in_quotes(daemon.listen)));
        if (!daemon.ready.empty() && !parse_readiness(shape_of(daemon.ready)))
            fail("ready", fmt::format("{} is neither http://HOST:PORT/PATH nor tcp://HOST:PORT",
                                      config::in_quotes(daemon.ready)));
    }
}

System read_system(const std::string& file)
{
    System system;
    config::Loader loader(system);
    loader.load_file(file);
    loader.complete();
    return system;
}

std::set<unsigned> ports_of(const System& system)
{
    std::set<unsigned> ports;
    for (const Daemon& daemon : system.daemons)
        for (const std::string* text : texts_of(daemon))
            for (const std::string_view name : variables_in(*text))
                if (const auto port = port_in(name); port && *port > 0) ports.insert(*port);
    return ports;
}

Launch fill_in(const Daemon& daemon, const Instance& instance)
{
    Launch out;
    std::istringstream words(daemon.arguments);
    // A value with blanks, such as a folder's name, does not fall apart: it is filled in after the split.
    for (std::string word; words >> word;) out.arguments.push_back(fill_in(word, instance));
    if (!daemon.listen.empty()) out.listen = config::parse_host_port(fill_in(daemon.listen, instance)).value();
    if (!daemon.ready.empty()) out.ready = parse_readiness(fill_in(daemon.ready, instance));
    return out;
}

} // namespace hotspare::process

#include "experiment/orders_testbed.hpp"

#include "common/error.hpp"
#include "common/socket.hpp"
#include "experiment/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

constexpr Duration ready_time = seconds(20);
constexpr Duration look_again = milliseconds(20);
constexpr std::string_view variable = "${port:";
constexpr unsigned gateway_port = 8080;
constexpr unsigned validator_port = 5103; ///< the control port of external_service

using Words = std::vector<std::string>;

std::vector<Words> read_system(const fs::path& file)
{
    std::ifstream in(file);
    if (!in) throw UsageError(fmt::format("{}: cannot be read", file.string()));
    std::vector<Words> daemons;
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line.starts_with('#')) continue;
        std::istringstream words(line);
        Words daemon;
        for (std::string word; words >> word;) daemon.push_back(word);
        if (daemon.size() < 2) throw UsageError(fmt::format("{}: '{}' is no daemon", file.string(), line));
        daemons.push_back(std::move(daemon));
    }
    return daemons;
}

/// Replaces every ${port:N} by N + offset and notes the N.
std::string shifted(std::string word, unsigned offset, std::set<unsigned>& ports)
{
    for (auto at = word.find(variable); at != std::string::npos; at = word.find(variable, at)) {
        const auto end = word.find('}', at);
        if (end == std::string::npos) break;
        const auto number = config::parse_unsigned(
            std::string_view(word).substr(at + variable.size(), end - at - variable.size()), 65'535);
        if (!number) throw UsageError(fmt::format("'{}' names no port", word));
        if (*number > 0) ports.insert(static_cast<unsigned>(*number)); // 0 stands for the offset itself
        word.replace(at, end + 1 - at, std::to_string(*number + offset));
    }
    return word;
}

bool is_free(unsigned port)
{
    try {
        return static_cast<bool>(listen_on({"127.0.0.1", static_cast<std::uint16_t>(port)}));
    } catch (const std::system_error&) {
        return false;
    }
}

/// By how much all ports are shifted. Below 32768, where the local ends of other people's connections begin: what is
/// free now stays free.
unsigned choose_offset(const std::set<unsigned>& ports)
{
    static std::mt19937 random{std::random_device{}()};
    for (int tries = 0; tries < 1'000; ++tries) {
        const unsigned offset = 10'000 + static_cast<unsigned>(random() % 14'000);
        if (std::ranges::all_of(ports, [&](unsigned port) { return is_free(port + offset); })) return offset;
    }
    throw StartupError("no free ports on 127.0.0.1");
}

fs::path program_in(const fs::path& programs, const std::string& name)
{
    std::error_code error;
    for (const auto& folder : fs::directory_iterator(programs, error))
        if (const auto file = folder.path() / name; fs::is_regular_file(file, error)) return file;
    throw UsageError(fmt::format("there is no program {} below {}: build it first", name, programs.string()));
}

} // namespace

OrdersTestbed::OrdersTestbed(const Options& options, const std::atomic<bool>& interrupted)
{
    const auto daemons = read_system(options.config / "orders.system");
    std::set<unsigned> ports{gateway_port};
    for (const auto& words : daemons)
        for (const auto& word : words) shifted(word, 0, ports);
    const unsigned offset = choose_offset(ports);
    gateway_ = {"127.0.0.1", static_cast<std::uint16_t>(gateway_port + offset)};
    validator_ = {"127.0.0.1", static_cast<std::uint16_t>(validator_port + offset)};

    constexpr std::string_view data = ".run/orders/", config_folder = "config/";
    for (const auto& words : daemons) {
        Child::Command command{.program = program_in(options.programs, words[1]),
                               .arguments = {},
                               .log = options.directory / (words[0] + ".log"),
                               .environment = {}};
        for (auto word = words.begin() + 2; word != words.end(); ++word) {
            auto argument = shifted(*word, offset, ports);
            if (argument.starts_with(data)) argument = (options.directory / argument.substr(data.size())).string();
            if (argument.starts_with(config_folder))
                argument = (options.config / argument.substr(config_folder.size())).string();
            if (*(word - 1) == "--ledger") ledger_ = argument;
            command.arguments.push_back(std::move(argument));
        }
        daemons_.push_back({words[0], std::make_unique<Child>(std::move(command))});
    }

    const auto deadline = Clock::now() + ready_time;
    const auto answers = [&] {
        const auto answer = fetch(gateway_, http::verb::get, "/health_status", seconds(1));
        return answer && answer->result_int() == 200;
    };
    while (!answers()) {
        std::string trouble = interrupted ? "interrupted" : ended();
        if (trouble.empty() && Clock::now() > deadline)
            trouble =
                fmt::format("the gateway does not answer; its last words: {}", daemons_.back().child->last_words());
        if (!trouble.empty()) {
            end();
            throw StartupError(trouble);
        }
        std::this_thread::sleep_for(look_again);
    }
}

OrdersTestbed::~OrdersTestbed()
{
    end();
}

std::string OrdersTestbed::ended() const
{
    for (const auto& daemon : daemons_)
        if (!daemon.child->running())
            return fmt::format("{} ended; its last words: {}", daemon.name, daemon.child->last_words());
    return {};
}

void OrdersTestbed::end()
{
    // Clients end before their servers, so that none reports a server that has already ended. The signal goes to
    // all at once, so that none waits for another.
    for (auto daemon = daemons_.rbegin(); daemon != daemons_.rend(); ++daemon) daemon->child->signal(SIGTERM);
    for (auto daemon = daemons_.rbegin(); daemon != daemons_.rend(); ++daemon) daemon->child->end();
}

} // namespace hotspare::experiment

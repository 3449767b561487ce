#include "supervisor/report.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace hotspare::supervisor {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string why_down(const DaemonStatus& status)
{
    const auto cause = status.last_exit ? describe(*status.last_exit) : "it was not started";
    constexpr std::string_view way_out = "; ./run.sh up starts it again";
    switch (status.state) {
    case State::waiting: return fmt::format("waits for {}", fmt::join(status.waits_for, ", "));
    case State::restarting: return fmt::format("{}; starts again in {:.1f} s", cause, to_s(status.starts_in));
    case State::ended: return cause + std::string(way_out);
    case State::given_up: return fmt::format("given up after {} restarts: {}{}", status.restarts, cause, way_out);
    default: return "stopped" + std::string(way_out);
    }
}

} // namespace

std::string_view to_string(State state) noexcept
{
    switch (state) {
    case State::stopped: return "stopped";
    case State::waiting: return "waiting";
    case State::starting: return "starting";
    case State::running: return "running";
    case State::stopping: return "stopping";
    case State::restarting: return "restarting";
    case State::ended: return "ended";
    case State::given_up: return "given_up";
    }
    return "?";
}

std::string describe(const LastExit& exit)
{
    return fmt::format("{} after {} s", exit.cause, std::chrono::duration_cast<seconds>(exit.ran).count());
}

std::string to_text(const DaemonStatus& status)
{
    if (status.pid == 0) return fmt::format("  {:<20} down: {}\n", status.name, why_down(status));
    auto text = fmt::format("  {:<20} pid {:<8} ports {:<14} restarts {}{}\n", status.name, status.pid,
                            fmt::to_string(fmt::join(status.ports, ",")), status.restarts,
                            status.state == State::running ? "" : fmt::format(", {}", to_string(status.state)));
    if (!status.replaced.empty())
        text += fmt::format("  {:<20} replaced {}, which finish{} what was begun\n", "",
                            fmt::join(status.replaced, ", "), status.replaced.size() == 1 ? "es" : "");
    if (status.last_exit) text += fmt::format("  {:<20} last exit: {}\n", "", describe(*status.last_exit));
    return text;
}

OrderedJson to_json(const DaemonStatus& status)
{
    OrderedJson out = {{"name", status.name}, {"state", to_string(status.state)}};
    out["pid"] = status.pid != 0 ? OrderedJson(status.pid) : OrderedJson(nullptr);
    out["adopted"] = status.adopted;
    out["ports"] = status.ports;
    out["replaced"] = status.replaced;
    out["restarts"] = status.restarts;
    out["last_exit"] = nullptr;
    if (const auto& exit = status.last_exit)
        out["last_exit"] = {{"cause", exit->cause}, {"ran_s", to_s(exit->ran)}, {"at", format_rfc3339(exit->at)}};
    if (status.state == State::waiting) out["waits_for"] = status.waits_for;
    if (status.state == State::restarting) out["starts_in_s"] = to_s(status.starts_in);
    return out;
}

bool is_missing(State state) noexcept
{
    return state == State::stopped || state == State::restarting || state == State::ended || state == State::given_up;
}

} // namespace hotspare::supervisor

#include "common/probe/judge.hpp"

#include "common/json_document.hpp"

#include <boost/system/errc.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace hotspare::probe {
namespace {

namespace sys = boost::system::errc;

/// Of an answer's value that is not the expected one: enough to recognise it.
constexpr std::size_t longest_value = 40;

ProbeOutcome outcome_of(const error_code& failure)
{
    if (failure == errc::timed_out || failure == sys::timed_out) return ProbeOutcome::timed_out;
    if (failure == errc::malformed) return ProbeOutcome::malformed;
    if (failure == errc::too_large) return ProbeOutcome::failing;
    // A peer that is gone shows as a broken pipe when the request is still being written: the same event.
    if (failure == errc::closed_early || failure == sys::connection_reset || failure == sys::connection_aborted ||
        failure == sys::broken_pipe)
        return ProbeOutcome::reset;
    return ProbeOutcome::refused;
}

std::string to_text(const std::vector<http::StatusRange>& ranges)
{
    std::string text;
    for (const auto& range : ranges) {
        if (!text.empty()) text += ", ";
        text +=
            range.first == range.last ? fmt::format("{}", range.first) : fmt::format("{}-{}", range.first, range.last);
    }
    return text;
}

/// What the body lacks of the field and value in "field=value"; empty if it has them.
std::string missing_field(std::string_view text, std::string_view expected)
{
    const auto equals = std::min(expected.find('='), expected.size());
    const auto field = std::string(expected.substr(0, equals));
    const auto value = expected.substr(std::min(equals + 1, expected.size()));
    const auto body = read_json_document(text);
    if (!body.is_object()) return "its body is not a JSON object";
    const auto found = body.find(field);
    if (found == body.end()) return fmt::format("its body has no field '{}'", field);
    const std::string actual = found->is_string() ? found->get<std::string>() : json_text(*found);
    if (actual != value) return fmt::format("its {} is '{}', not '{}'", field, actual.substr(0, longest_value), value);
    return {};
}

} // namespace

Verdict judge(const Answer& answer, const Expectation& expected)
{
    Verdict verdict{.detail = fmt::format("{} {}", answer.status, answer.reason)};
    verdict.wrong_status = std::none_of(expected.statuses.begin(), expected.statuses.end(),
                                        [&](const auto& range) { return range.contains(answer.status); });
    if (verdict.wrong_status)
        verdict.shortcoming = fmt::format("expected {}", to_text(expected.statuses));
    else if (!expected.body.empty() && answer.body.find(expected.body) == std::string_view::npos)
        verdict.shortcoming = fmt::format("its body does not contain '{}'", expected.body);
    else if (!expected.json_field.empty())
        verdict.shortcoming = missing_field(answer.body, expected.json_field);
    if (!verdict.shortcoming.empty()) verdict.outcome = ProbeOutcome::failing;
    return verdict;
}

Verdict judge(const error_code& failure, Duration timeout)
{
    Verdict verdict{.outcome = outcome_of(failure)};
    verdict.detail = verdict.outcome == ProbeOutcome::timed_out
                         ? fmt::format("no answer within {}", config::format_duration(timeout))
                         : failure.message();
    return verdict;
}

std::string host_field(const config::HostPort& origin)
{
    std::string authority = config::format_host_port(origin);
    if (origin.port == 80) authority.resize(authority.rfind(':'));
    return authority;
}

} // namespace hotspare::probe

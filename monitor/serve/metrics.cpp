#include "monitor/serve/metrics.hpp"

#include "common/metrics.hpp"
#include "common/version.hpp"

#include <array>

namespace hotspare::monitor {
namespace {

using metrics::Exposition;

/// They have 1 kB each, and while they are written down no check is made: 50 ms for a thousand.
constexpr std::size_t most_targets_in_metrics = 1000;

void add_targets(Exposition& out, const MonitorSettings& settings, const Recorder& recorder, resilience::Health overall)
{
    using resilience::Health;
    constexpr auto words = static_cast<std::size_t>(Health::healthy) + 1;
    for (std::size_t word = 0; word < words; ++word)
        out.gauge("hotspare_monitor_overall", "1 for the present health of all targets together",
                  {{"status", to_string(static_cast<Health>(word))}}, static_cast<Health>(word) == overall ? 1. : 0.);
    const Board& board = recorder.board();
    if (board.size() > most_targets_in_metrics) return;
    for (const Watched& watched : recorder.checker().targets()) {
        const auto place = board.find(watched.name);
        if (!place) continue;
        const Health health = board.health(*place);
        for (std::size_t i = 0; i < words; ++i) {
            const auto word = static_cast<Health>(i);
            out.gauge("hotspare_monitor_status", "1 for the present health of a target",
                      {{"target", watched.name}, {"status", to_string(word)}}, word == health ? 1. : 0.);
            out.counter("hotspare_monitor_transitions_total", "Changes of health since the start, by the one entered",
                        {{"target", watched.name}, {"status", to_string(word)}},
                        static_cast<double>(board.transitions(*place, word)));
        }
        if (watched.is_backend || settings.targets[watched.settings].kind() == CheckKind::push) continue;
        const Checker::Outcomes& outcomes = recorder.checker().outcomes(watched.settings);
        for (std::size_t i = 0; i < outcomes.size(); ++i)
            out.counter("hotspare_monitor_probes_total", "Checks by outcome",
                        {{"target", watched.name}, {"outcome", to_string(static_cast<resilience::ProbeOutcome>(i))}},
                        static_cast<double>(outcomes[i]));
    }
}

} // namespace

std::string metrics_text(const MonitorSettings& settings, const Recorder& recorder, const Pools& pools,
                         resilience::Health overall, const result<Sizes>& sizes)
{
    Exposition out;
    const Board& board = recorder.board();
    std::array<double, 4> states{};
    for (std::size_t i = 0; i < board.size(); ++i) states[static_cast<std::size_t>(board.state(i))] += 1;
    for (std::size_t i = 0; i < states.size(); ++i)
        out.gauge("hotspare_monitor_targets", "Targets, by confirmed state",
                  {{"state", to_string(static_cast<State>(i))}}, states[i]);
    if (settings.public_pages) add_targets(out, settings, recorder, overall); // they tell the names
    const auto& schedule = recorder.checker().schedule();
    out.counter("hotspare_monitor_checks_total", "Checks that were begun", {}, static_cast<double>(schedule.begun()));
    out.counter("hotspare_monitor_checks_skipped_total", "Checks that were due and not made", {},
                static_cast<double>(schedule.skipped()));
    out.histogram("hotspare_monitor_lag_seconds", "By how much checks began later than due", {},
                  recorder.checker().lag());
    out.gauge("hotspare_monitor_longest_lag_seconds", "The longest lag since the start", {},
              to_s(schedule.longest_lag()));
    out.counter("hotspare_monitor_samples_dropped_total", "Samples that the disk was too slow for", {},
                static_cast<double>(recorder.history().dropped_samples()));
    out.counter("hotspare_monitor_commits_failed_total", "Commits to the history that failed", {},
                static_cast<double>(recorder.failed_commits()));
    if (const auto up = recorder.table_up())
        out.gauge("hotspare_monitor_store_up", "Whether the table of maintenance windows can be used", {},
                  *up ? 1. : 0.);
    const auto& notification = board.notification();
    out.gauge("hotspare_monitor_notifications_waiting", "Notifications that are not delivered yet", {},
              static_cast<double>(notification.queue.size()));
    out.gauge("hotspare_monitor_notifications_failed", "The latest notifications that were given up", {},
              static_cast<double>(notification.failures.size()));
    out.gauge("hotspare_monitor_pools_pending", "Balancers whose pools are yet to be closed or opened", {},
              static_cast<double>(pools.pending()));
    if (sizes) {
        out.gauge("hotspare_monitor_history_bytes", "Size of the history's file", {},
                  static_cast<double>(sizes->file_bytes));
        out.gauge("hotspare_monitor_history_free_bytes", "Room in the history's file for rows to come", {},
                  static_cast<double>(sizes->free_bytes));
        for (const auto& [table, rows] : sizes->rows)
            out.gauge("hotspare_monitor_history_rows", "Rows of the history", {{"table", table}},
                      static_cast<double>(rows));
    }
    out.process(version());
    return out.text();
}

} // namespace hotspare::monitor

// What is read from the history, over a connection of its own that never writes. A row that this program cannot have
// written is refused with errc::storage; what is wrong with it is logged, and damage() tells it.
//
// Thread: one at a time. Owner: History, or verify_audit().
#pragma once

#include "common/storage/sqlite.hpp"
#include "monitor/history/rows.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

class Reader {
public:
    /// The file must exist. Throws StartupError.
    explicit Reader(const std::string& path);

    result<Restored> restore();
    result<Page<StoredSample>> samples(const SampleQuery& query);
    result<std::vector<StoredRollup>> rollups(TargetId target, Unit unit, const Span& period);
    result<Page<StoredIncident>> incidents(const IncidentQuery& query);
    result<Page<ChainedEntry>> audit(const AuditQuery& query);
    result<Sizes> sizes();
    result<AuditHead> audit_head();
    result<AuditFinding> verify_audit();

    /// Of the latest errc::storage that a damaged row was the reason of; empty otherwise.
    const std::string& damage() const noexcept { return damage_; }

private:
    struct Statements {
        storage::Statement targets, tracker, changes, outages, gaps, memory, alive, head, samples, minute_before,
            incidents, audit, whole_audit, row_counts, pages, page_size, free_pages;
    };
    struct UnitStatements {
        storage::Statement row, oldest, newest;
    };
    static Statements prepare(storage::Database& database, const std::string& path);
    static UnitStatements prepare_unit(storage::Database& database, Unit unit, const std::string& path);

    error_code damaged(std::string_view table, std::string_view row, std::string_view what);
    result<void> restore_target(RestoredTarget& target);
    result<void> restore_spans(storage::Statement& statement, std::string_view table, const Target& target,
                               Instant since, std::vector<Span>& spans);
    result<void> restore_changes(const Target& target, Instant since, Record& record);
    result<std::string> memory(std::string_view name);
    result<std::optional<std::int64_t>> number(storage::Statement& statement);
    result<std::optional<std::int64_t>> minute_before(std::int64_t minute);
    result<StoredSample> read_sample(const storage::Statement& row, TargetId target, std::int64_t minute);
    result<StoredRollup> read_rollup(const storage::Statement& row, Unit unit, Instant begin);
    static ChainedEntry read_entry(const storage::Statement& row);
    result<AuditFinding> follow_audit();

    std::string path_;
    std::string damage_;
    storage::Database database_;
    Statements statements_;
    std::array<UnitStatements, all_units.size()> units_;
};

} // namespace hotspare::monitor

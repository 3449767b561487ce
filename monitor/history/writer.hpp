// What changes the history: the statements of one write connection. Each public function is one piece of work within a
// transaction that is not its own, and is either done as a whole or fails, which takes the transaction back.
//
// Thread: that of the group commit, but for the constructor. Owner: History.
#pragma once

#include "common/storage/database_file.hpp"
#include "common/storage/sqlite.hpp"
#include "monitor/history/rows.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

class Writer {
public:
    /// Throws as schema::open().
    Writer(const storage::DatabaseFile& file, storage::Synchronous synchronous, const Retention& retention);

    storage::Database& database() noexcept { return database_; }

    result<std::vector<Target>> watch(const std::vector<std::string>& names, Instant now);
    /// errc::not_found: a target is unknown; nothing was written.
    result<void> forget(const std::vector<std::string>& names);
    result<void> append(const std::vector<StoredSample>& samples, Instant now);
    result<Committed> commit(const Batch& batch);
    result<Expired> expire(Instant now);

private:
    struct Statements {
        storage::Statement find_target, add_target, rolled_target, target, all_targets, add_sample, alive,
            sample_latency, add_change, add_outage, end_outage, add_gap, end_gap, set_tracker, set_incident,
            count_incidents, set_memory, head, set_head, add_audit, oldest_sample, delete_samples, count_rows,
            trim_changes, trim_gaps, trim_outages, trim_incidents, last_target;
        std::array<storage::Statement, 7> forget_target; ///< the target itself first
    };
    struct UnitStatements {
        storage::Statement add, latency, oldest, trim;
    };

    static Statements prepare(storage::Database& database, const std::string& path);
    static UnitStatements prepare_unit(storage::Database& database, Unit unit, const std::string& path);
    UnitStatements& of(Unit unit) { return units_.at(static_cast<std::size_t>(unit)); }

    result<void> check_targets(const std::set<TargetId>& targets);
    result<void> add_samples(const std::vector<StoredSample>& samples);
    result<void> add_step(const TargetStep& step);
    result<void> add_memory(const TargetStep& step);
    result<void> add_rollups(const TargetRollups& rollups);
    result<Latency> latency_of(TargetId target, Unit unit, const Span& span);
    result<std::int64_t> incidents_in(TargetId target, const Span& span);
    result<void> set_memory(std::string_view name, const std::string& text);
    result<AuditHead> add_audit(const std::vector<AuditEntry>& entries);
    result<Expired> expire_rows(storage::Statement& oldest, storage::Statement& trim, std::string_view table,
                                Instant before, std::int64_t width);
    result<void> expire_records(const Cutoffs& cutoffs);
    result<void> count(std::string_view table, std::int64_t change);

    storage::Database database_;
    Statements statements_;
    std::array<UnitStatements, all_units.size()> units_;
    Retention retention_;
};

} // namespace hotspare::monitor

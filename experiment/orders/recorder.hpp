// The history of an orders experiment as it grows, in memory and, if there is a folder for it, as history.jsonl on
// disk: each record is written when it is added, so that what was observed survives whatever ends the experiment.
//
// Thread: any for what adds a record and for tally(), one for the rest. Owner: the command.
#pragma once

#include "experiment/orders/history.hpp"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::experiment {

class Recorder {
public:
    /// `history` is what is known before anything was done; `folder` may be empty, or is made. Throws UsageError when
    /// nothing can be written there.
    Recorder(OrdersHistory history, const std::filesystem::path& folder);

    void fault(Turn turn);
    void heal(Turn turn);
    void drained(Nanos at);
    template <class T> void add(std::vector<T> OrdersHistory::*list, T entry)
    {
        const std::scoped_lock lock(mutex_);
        write_line(out_, entry);
        (history_.*list).push_back(std::move(entry));
    }
    /// The first reason stays.
    void invalidate(const std::string& why);
    void abort(const std::string& why) { history_.aborted = why; }
    void counted() { history_.counted = true; }

    struct Tally {
        std::size_t created = 0, accepted = 0;
    };
    Tally tally() const;

    /// Only after the last record was added. Throws StartupError when the file could not be written.
    const OrdersHistory& finish();
    const OrdersHistory& history() const noexcept { return history_; }
    /// Empty: there is none.
    const std::filesystem::path& file() const noexcept { return file_; }

private:
    mutable std::mutex mutex_;
    OrdersHistory history_;
    std::filesystem::path file_;
    std::ofstream out_; ///< without a file it swallows everything
};

} // namespace hotspare::experiment

#include "experiment/orders/recorder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace hotspare::experiment {

namespace fs = std::filesystem;

Recorder::Recorder(OrdersHistory history, const fs::path& folder) : history_(std::move(history))
{
    if (!folder.empty()) {
        std::error_code error;
        fs::create_directories(folder, error);
        file_ = folder / "history.jsonl";
        out_.open(file_, std::ios::binary | std::ios::trunc);
        if (!out_) throw UsageError(fmt::format("--out: cannot write {}", file_.string()));
    }
    write_header(out_, history_);
}

void Recorder::fault(Turn turn)
{
    const std::scoped_lock lock(mutex_);
    write_fault(out_, turn);
    history_.faults.push_back(std::move(turn));
}

void Recorder::heal(Turn turn)
{
    const std::scoped_lock lock(mutex_);
    write_heal(out_, turn);
    history_.heals.push_back(std::move(turn));
}

void Recorder::drained(Nanos at)
{
    const std::scoped_lock lock(mutex_);
    write_drained(out_, at);
    history_.drained = at;
}

void Recorder::invalidate(const std::string& why)
{
    if (history_.invalid.empty()) history_.invalid = why;
}

Recorder::Tally Recorder::tally() const
{
    const std::scoped_lock lock(mutex_);
    const auto accepted = std::ranges::count(history_.creates, CreateOutcome::ok, &CreateRecord::outcome);
    return {history_.creates.size(), static_cast<std::size_t>(accepted)};
}

const OrdersHistory& Recorder::finish()
{
    write_end(out_, history_);
    if (out_.is_open() && !out_.flush()) throw StartupError(fmt::format("cannot write {}", file_.string()));
    return history_;
}

} // namespace hotspare::experiment

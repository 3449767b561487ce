// Makes the faults of a plan happen, sees that they did, and undoes them, whatever happens in between: everything that
// was done is on a list that the destructor works off from its end.
//
// A fault is triggered at once and confirmed by looking: a killed process is gone, a stopped one stands still, a
// backend says itself that it fails, a gate has done to some bytes what it is for. poll() looks and does not wait.
//
// Thread: the director's. The target must outlive it.
#pragma once

#include "common/clock.hpp"
#include "experiment/inject/target.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <functional>
#include <vector>

namespace hotspare::experiment {

class Faults {
public:
    /// `origin` is the moment that records count from.
    Faults(const Plan& plan, Target& target, TimePoint origin);
    ~Faults(); ///< undo_all()

    Faults(const Faults&) = delete;
    Faults& operator=(const Faults&) = delete;

    /// Triggers, confirms and undoes what is due at `now`. Call every few milliseconds.
    void poll(TimePoint now);

    /// Undoes everything that still stands, latest first, and waits until it is seen to be undone, within bounds.
    void undo_all();

    /// A fault has been triggered and not yet been undone.
    bool active() const noexcept;

    const std::vector<FaultRecord>& records() const noexcept { return records_; }
    /// What could not be undone, one sentence each; empty if all was.
    const std::vector<std::string>& left_behind() const noexcept { return left_behind_; }

private:
    enum class State : std::uint8_t { waiting, triggered, undoing, over };
    struct Doing {
        State state = State::waiting;
        TimePoint since{}; ///< of the state
        std::size_t record = 0;
    };

    void trigger(std::size_t step, TimePoint now);
    void confirm(std::size_t step, TimePoint now);
    bool undone_by_itself(std::size_t step);
    void undo(std::size_t step, TimePoint now);
    void confirm_undone(std::size_t step, TimePoint now);
    bool is_effective(const Step& step, Party& party, std::string& evidence);
    bool is_undone(const Step& step, Party& party);
    Nanos since_origin(TimePoint at) const { return std::chrono::duration_cast<Nanos>(at - origin_); }

    const Plan& plan_;
    Target& target_;
    TimePoint origin_;
    std::vector<Doing> steps_; ///< as plan_.method
    std::vector<FaultRecord> records_;
    std::vector<std::string> left_behind_;
};

} // namespace hotspare::experiment

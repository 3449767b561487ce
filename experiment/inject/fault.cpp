#include "experiment/inject/fault.hpp"

#include "common/json_document.hpp"
#include "experiment/load/fetch.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <thread>

namespace hotspare::experiment {
namespace {

constexpr Duration effective_within = seconds(3);
constexpr Duration undone_within = seconds(10); ///< a supervisor's pause and a start
constexpr Duration request_time = seconds(1);
constexpr Duration tick = milliseconds(2);

/// What the two kinds of process have in common, as far as a fault needs it.
void send(Party& party, int signal)
{
    if (party.child)
        party.child->signal(signal);
    else
        party.foreign->signal(signal);
}

bool running(const Party& party)
{
    return party.child ? party.child->running() : party.foreign->running();
}

bool stopped(const Party& party)
{
    return party.child ? party.child->stopped() : party.foreign->stopped();
}

bool kills(const Step& step)
{
    return step.fault == FaultKind::crash || step.fault == FaultKind::stop || step.fault == FaultKind::restart ||
           (step.fault == FaultKind::mode && step.mode == "crash");
}

/// A machine that is short of something now may have it at the next look; the bound on the undoing ends the tries.
void start_again(process::Child& child)
{
    try {
        child.start();
    } catch (const StartupError&) {
    }
}

std::string fail_path(const Step& step)
{
    if (step.mode == "data_error") return "/simulate/corruption";
    auto path = "/fail?mode=" + step.mode;
    if (step.mode == "slow") path += "&delay=" + config::format_duration(step.delay);
    if (step.mode == "flap") path += "&period=" + config::format_duration(2 * step.delay);
    if ((step.mode == "reset" || step.mode == "truncate") && step.bytes > 0)
        path += "&bytes=" + std::to_string(step.bytes);
    return path;
}

/// Empty if the answer is 200, else what it is.
std::string wrong(const result<http::Response>& answer)
{
    if (!answer) return answer.error().message();
    return answer->result_int() == 200 ? std::string() : fmt::format("status {}", answer->result_int());
}

} // namespace

Faults::Faults(const Plan& plan, Target& target, TimePoint origin)
    : plan_(plan), target_(target), origin_(origin), steps_(plan.method.size())
{
}

Faults::~Faults()
{
    try {
        undo_all();
    } catch (const std::exception& error) {
        // Only when this machine is short of something in the middle of an exception; what is a child of ours ends with
        // us.
        fmt::print(stderr, "experiment: a fault may still stand: {}\n", error.what());
    }
}

bool Faults::active() const noexcept
{
    return std::ranges::any_of(
        steps_, [](const Doing& doing) { return doing.state == State::triggered || doing.state == State::undoing; });
}

void Faults::poll(TimePoint now)
{
    for (std::size_t i = 0; i < steps_.size(); ++i) {
        const Step& step = plan_.method[i];
        Doing& doing = steps_[i];
        if (doing.state == State::waiting && now >= origin_ + step.at) trigger(i, now);
        if (doing.state == State::triggered) confirm(i, now);
        if (doing.state == State::triggered && undone_by_itself(i)) undo(i, now);
        if (doing.state == State::triggered && step.lasts > Duration::zero() && now >= doing.since + step.lasts)
            undo(i, now);
        if (doing.state == State::undoing) confirm_undone(i, now);
    }
}

void Faults::undo_all()
{
    for (std::size_t i = steps_.size(); i-- > 0;) {
        if (steps_[i].state == State::waiting) steps_[i].state = State::over; // too late for it
        if (steps_[i].state == State::triggered) undo(i, Clock::now());
    }
    while (active()) {
        for (std::size_t i = 0; i < steps_.size(); ++i)
            if (steps_[i].state == State::undoing) confirm_undone(i, Clock::now());
        if (active()) std::this_thread::sleep_for(tick);
    }
}

void Faults::trigger(std::size_t index, TimePoint now)
{
    const Step& step = plan_.method[index];
    Party& party = *target_.party(step.on);
    steps_[index] = {.state = State::triggered, .since = now, .record = records_.size()};
    FaultRecord record;
    record.step = static_cast<std::uint32_t>(index);
    record.triggered = since_origin(Clock::now());
    switch (step.fault) {
    case FaultKind::crash: send(party, SIGKILL); break;
    case FaultKind::stop:
    case FaultKind::restart: send(party, SIGTERM); break;
    case FaultKind::hang: send(party, SIGSTOP); break;
    case FaultKind::mode:
        record.evidence = wrong(fetch(*party.control, http::verb::post, fail_path(step), request_time));
        break;
    default: party.gate->set(step);
    }
    records_.push_back(std::move(record));
}

void Faults::confirm(std::size_t index, TimePoint now)
{
    FaultRecord& record = records_[steps_[index].record];
    if (record.effective) return;
    const Step& step = plan_.method[index];
    Party& party = *target_.party(step.on);
    std::string evidence;
    if (is_effective(step, party, evidence)) {
        record.effective = true;
        record.confirmed = since_origin(Clock::now());
        record.evidence = std::move(evidence);
        if (step.fault == FaultKind::restart) undo(index, now); // that is its second half
    } else if (now > steps_[index].since + effective_within) {
        record.evidence = fmt::format("not effective within {}: {}", config::format_duration(effective_within),
                                      evidence.empty() ? record.evidence : evidence);
        undo(index, now);
    }
}

bool Faults::is_effective(const Step& step, Party& party, std::string& evidence)
{
    if (kills(step)) {
        evidence = running(party) ? "the process still runs" : "the process has ended";
        return !running(party);
    }
    if (step.fault == FaultKind::hang) {
        evidence = stopped(party) ? "the process stands still" : "the process goes on";
        return stopped(party);
    }
    if (step.fault == FaultKind::mode) {
        const auto answer = fetch(*party.control, http::verb::get, "/health", request_time);
        const auto health = answer ? read_json_document(answer->body()) : nlohmann::json();
        const auto fault = health.is_object() && health.contains("fault") ? health["fault"] : nlohmann::json();
        const auto mode = fault.is_object() ? fault.value("mode", "none") : std::string("none");
        evidence = fmt::format("the server says that it has the fault {}", mode);
        return mode == step.mode;
    }
    const auto acted = party.gate->counts().acted;
    evidence = acted > 0 ? fmt::format("the gate acted on {} pieces", acted) : "the gate had nothing to act on";
    return acted > 0;
}

/// A foreign process has been started again by its supervisor.
bool Faults::undone_by_itself(std::size_t index)
{
    const Step& step = plan_.method[index];
    Party& party = *target_.party(step.on);
    return party.foreign && kills(step) && records_[steps_[index].record].effective && party.foreign->running();
}

void Faults::undo(std::size_t index, TimePoint now)
{
    const Step& step = plan_.method[index];
    Party& party = *target_.party(step.on);
    FaultRecord& record = records_[steps_[index].record];
    if (!record.effective && record.evidence.empty()) record.evidence = "undone before it was seen to be effective";
    steps_[index].state = State::undoing;
    steps_[index].since = now;
    if (kills(step)) return; // confirm_undone() starts it again, once it has ended
    if (step.fault == FaultKind::hang)
        send(party, SIGCONT);
    else if (step.fault != FaultKind::mode)
        party.gate->open();
}

void Faults::confirm_undone(std::size_t index, TimePoint now)
{
    const Step& step = plan_.method[index];
    Party& party = *target_.party(step.on);
    FaultRecord& record = records_[steps_[index].record];
    if (is_undone(step, party)) {
        record.undone = since_origin(Clock::now());
        steps_[index].state = State::over;
    } else if (now > steps_[index].since + undone_within) {
        left_behind_.push_back(fmt::format("'{}' on '{}' could not be undone within {}", describe(step), step.on,
                                           config::format_duration(undone_within)));
        steps_[index].state = State::over;
    }
}

bool Faults::is_undone(const Step& step, Party& party)
{
    if (kills(step)) {
        // A foreign process is started again by its supervisor, or not at all.
        if (party.child && !party.child->running()) start_again(*party.child);
        if (!running(party)) return false;
        const auto at = party.control ? party.control : party.address;
        if (!at) return true;
        const auto answer = fetch(*at, http::verb::get, "/health", request_time);
        return answer && answer->result_int() == 200;
    }
    if (step.fault == FaultKind::hang) return !stopped(party);
    if (step.fault == FaultKind::mode)
        return wrong(fetch(*party.control, http::verb::post, "/recover", request_time)).empty();
    return true;
}

} // namespace hotspare::experiment

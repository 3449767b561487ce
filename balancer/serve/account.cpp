#include "balancer/serve/account.hpp"

#include "balancer/counters.hpp"
#include "balancer/decide/blame.hpp"
#include "balancer/serve/data_plane.hpp"

#include <chrono>
#include <utility>

namespace hotspare::balancer {

void Account::open(PoolIndex pool, std::string_view client_ip, std::string_view method, std::string_view target,
                   TimePoint now)
{
    pool_ = pool;
    began_ = now;
    bytes_in_ = bytes_out_ = 0;
    judges_ = true;
    plane_.counters.pools[pool_].requests.add();
    if (plane_.access_log != nullptr || plane_.log_traffic) open_record(client_ip, method, target);
}

void Account::open_unrouted(std::string_view client_ip, std::string_view method, std::string_view target, TimePoint now)
{
    pool_ = no_pool;
    began_ = now;
    bytes_in_ = bytes_out_ = 0;
    if (plane_.access_log != nullptr) open_record(client_ip, method, target);
}

void Account::open_record(std::string_view client_ip, std::string_view method, std::string_view target)
{
    record_ = std::make_unique<AccessRecord>();
    record_->time = std::chrono::system_clock::now();
    record_->client = client_ip;
    record_->method = method;
    record_->target = target;
}

void Account::attempt_began(BackendIndex backend)
{
    ++plane_.active[backend];
    plane_.counters.backends[backend].active.add();
    if (plane_.log_traffic) plane_.tell_traffic(record_->method, record_->target, backend);
}

void Account::attempt_ended(BackendIndex backend)
{
    --plane_.active[backend];
    plane_.counters.backends[backend].active.sub();
}

void Account::responded(BackendIndex backend, unsigned status, Duration latency)
{
    BackendCounters& counters = plane_.counters.backends[backend];
    counters.responses[code_class(status)].add();
    counters.latency.observe(latency);
}

/// A backend that was asked only because another failed is not judged, and a body owes nothing by a deadline.
bool Account::would_judge(const AttemptLedger& ledger, AttemptLedger::Id attempt, Outcome outcome) const noexcept
{
    const Attempt& failing = ledger[attempt];
    return judges_ && first_sent_to(ledger.trail()).value_or(failing.backend) == failing.backend &&
           !(outcome == Outcome::timed_out && failing.stage == Stage::answered);
}

void Account::attempt_failed(BackendIndex backend, Outcome outcome, const Verdict& verdict, bool judged, TimePoint now)
{
    PoolCounters& pool = plane_.counters.pools[pool_];
    switch (verdict.move) {
    case Move::elsewhere: (outcome == Outcome::moved ? pool.moves : pool.retries).add(); break;
    case Move::fresh:
        // A pooled connection that turned out stale proves nothing against its backend; the fresh one will.
        pool.retries.add();
        return;
    case Move::wait: break;
    case Move::give_up:
        if (verdict.reason == Reason::budget) pool.budget_exhausted.add();
        break;
    case Move::abort: lost(Lost::truncated); break;
    }

    BackendCounters& counters = plane_.counters.backends[backend];
    const auto observe = [&](EvidenceKind kind) {
        if (judged) plane_.observe(backend, kind, now);
    };
    switch (outcome) {
    case Outcome::refused:
    case Outcome::connect_timeout:
        counters.connect_failures.add();
        plane_.observe(backend, EvidenceKind::refused, now);
        break;
    case Outcome::reset:
        counters.responses[0].add();
        observe(EvidenceKind::reset);
        break;
    case Outcome::malformed:
        counters.responses[0].add();
        observe(EvidenceKind::malformed);
        break;
    case Outcome::timed_out: observe(EvidenceKind::timed_out); break;
    default: break;
    }
}

void Account::succeeded(const AttemptLedger& ledger, BackendIndex winner, Duration latency, TimePoint now)
{
    if (!judges_) return;
    const auto trail = ledger.trail();
    if (first_sent_to(trail) == winner) plane_.observe(winner, EvidenceKind::success, now, latency);
    if (trail.size() > 1)
        for_each_diverted(trail, winner,
                          [&](BackendIndex backend) { plane_.observe(backend, EvidenceKind::diverted, now); });
}

void Account::failed_for_good(const AttemptLedger& ledger, BackendIndex backend, TimePoint now)
{
    if (judges_ && sent_only_to(backend, ledger.trail()) && plane_.placement.alternative(pool_, ledger))
        plane_.observe(backend, EvidenceKind::uncompared, now);
}

void Account::overtaken(const AttemptLedger& ledger, BackendIndex backend, TimePoint now)
{
    if (first_sent_to(ledger.trail()) == backend) plane_.observe(backend, EvidenceKind::outpaced, now);
}

/// Where another backend was asked as well, the request is answered nowhere: that says nothing about this one.
void Account::was_silent(const AttemptLedger& ledger, BackendIndex backend, TimePoint now)
{
    if (!sent_only_to(backend, ledger.trail())) return;
    plane_.observe(backend, EvidenceKind::timed_out, now);
    failed_for_good(ledger, backend, now);
}

void Account::lost(Lost how)
{
    plane_.counters.pools[pool_].lost[static_cast<std::size_t>(how)].add();
}

void Account::close(const AttemptLedger& ledger, const End& end, TimePoint now)
{
    if (pool_ != no_pool) {
        PoolCounters& pool = plane_.counters.pools[pool_];
        pool.responses[end.complete ? code_class(end.status) : 0].add();
        pool.latency.observe(now - began_);
        if (end.complete && end.status > 0 && end.status < 500) count_saved(ledger, end.parked);
    }
    if (!record_) return;
    record_->duration = now - began_;
    record_->request_id = end.request_id;
    record_->status = end.status;
    record_->bytes_in = bytes_in_;
    record_->bytes_out = bytes_out_;
    if (pool_ != no_pool) record_->pool = pool_;
    record_->complete = end.complete;
    record_->trail.assign(ledger.trail().begin(), ledger.trail().end());
    if (plane_.access_log != nullptr) plane_.access_log->add(std::move(*record_));
    record_.reset();
}

/// Whether the client has an answer only because of a second attempt, or because it waited for a backend.
void Account::count_saved(const AttemptLedger& ledger, bool parked)
{
    const auto trail = ledger.trail();
    if (trail.size() <= 1 && !parked) return;
    auto saved = Saved::retry;
    for (const Attempt& attempt : trail) {
        if (attempt.outcome == Outcome::moved) saved = Saved::move;
        if (attempt.outcome == Outcome::answered && attempt.hedge) saved = Saved::hedge;
    }
    if (parked) saved = Saved::park;
    // The original answering before its hedge needed no saving.
    if (saved == Saved::retry && trail[0].outcome == Outcome::answered) return;
    plane_.counters.pools[pool_].saved[static_cast<std::size_t>(saved)].add();
}

} // namespace hotspare::balancer

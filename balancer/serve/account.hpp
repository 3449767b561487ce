// What a request leaves behind: counters, a record for the access log, and evidence about the backends it met.
//
// It decides nothing about the request. Which backend an outcome counts against is balancer/decide/blame's rule; a
// request that met one of our own limits is no evidence at all.
//
// Thread: its worker's. Owner: the Exchange.
#pragma once

#include "balancer/access_log.hpp"
#include "balancer/config.hpp"
#include "balancer/decide/attempt.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

namespace hotspare::balancer {

class DataPlane;
enum class Lost : std::uint8_t;

class Account {
public:
    explicit Account(DataPlane& plane) : plane_(plane) {}

    /// A request of a pool begins.
    void open(PoolIndex pool, std::string_view client_ip, std::string_view method, std::string_view target,
              TimePoint now);
    /// One that belongs to no pool: it is answered here. Method and target are empty if its head could not be read.
    void open_unrouted(std::string_view client_ip, std::string_view method, std::string_view target, TimePoint now);

    /// Of the request that was opened last; nothing if it belongs to none.
    std::optional<PoolIndex> pool() const noexcept { return pool_ == no_pool ? std::nullopt : std::optional(pool_); }

    void received(std::size_t bytes) noexcept { bytes_in_ += bytes; } ///< of the request's body
    void delivered(std::size_t bytes) noexcept { bytes_out_ += bytes; }

    void attempt_began(BackendIndex backend);
    void attempt_ended(BackendIndex backend);
    /// The backend has answered, after `latency`.
    void responded(BackendIndex backend, unsigned status, Duration latency);

    /// A limit of ours ended an attempt: nothing that the request meets says anything about a backend.
    void met_our_limit() noexcept { judges_ = false; }
    /// Whether the failure of `attempt` would say something about its backend; to be asked before the ledger knows it.
    bool would_judge(const AttemptLedger& ledger, AttemptLedger::Id attempt, Outcome outcome) const noexcept;
    /// An attempt failed. `judged`: it counts against its backend.
    void attempt_failed(BackendIndex backend, Outcome outcome, const Verdict& verdict, bool judged, TimePoint now);
    /// The response of `winner`, no failure, was chosen.
    void succeeded(const AttemptLedger& ledger, BackendIndex winner, Duration latency, TimePoint now);
    /// The request failed at `backend` and is sent nowhere else.
    void failed_for_good(const AttemptLedger& ledger, BackendIndex backend, TimePoint now);
    /// A later attempt has overtaken the one at `backend`.
    void overtaken(const AttemptLedger& ledger, BackendIndex backend, TimePoint now);
    /// The deadline has passed while `backend` was silent.
    void was_silent(const AttemptLedger& ledger, BackendIndex backend, TimePoint now);

    void lost(Lost how);

    struct End {
        unsigned status = 0;   ///< 0: closed without a response
        bool complete = false; ///< the client could be given the whole response
        bool parked = false;   ///< the request has waited for a backend
        std::string_view request_id;
    };
    void close(const AttemptLedger& ledger, const End& end, TimePoint now);

private:
    static constexpr PoolIndex no_pool = std::numeric_limits<PoolIndex>::max();

    void open_record(std::string_view client_ip, std::string_view method, std::string_view target);
    void count_saved(const AttemptLedger& ledger, bool parked);

    DataPlane& plane_;
    PoolIndex pool_ = no_pool;
    TimePoint began_{};
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    bool judges_ = true;
    std::unique_ptr<AccessRecord> record_; ///< only while the access log or log_traffic is on
};

} // namespace hotspare::balancer

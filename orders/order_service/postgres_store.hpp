// The store of any number of order services: a PostgreSQL database. Each change reads the orders that it is about under
// a row lock, lets orders/order_service/transition.hpp decide, and writes what came of it in the same transaction, two
// round trips in all. Moments come from the database's clock, the only one that all services share.
//
// What fails because a connection is lost or the server is away is tried again for `patience`, if repeating it is
// harmless; an operator's word is not, and fails with errc::unavailable.
//
// Thread: that of the io_context. Owner: main; its coroutines must have ended before it is destroyed.
#pragma once

#include "common/storage/postgres.hpp"
#include "common/storage/sqlite.hpp"
#include "orders/order_service/store.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hotspare::orders {

class PostgresStore final : public Store {
public:
    using WallClock = WallTime (*)();

    struct Options {
        storage::Synchronous synchronous = storage::Synchronous::full;
        std::size_t connections = 8;
        Duration patience = milliseconds(1500);
        WallClock clock = nullptr;        ///< null: the database's
        Duration keep_clock = seconds(1); ///< how often it is looked whether that was set back
    };

    /// Connects when it is first asked, and creates its tables then, if they are not there.
    PostgresStore(asio::io_context& context, storage::postgres::Target target, Options options);

    asio::awaitable<result<Creation>> create(NewOrder what, std::optional<std::string> key) override;
    asio::awaitable<result<Leased>> lease(LeaseRequest request) override;
    asio::awaitable<result<std::vector<bool>>> extend(std::vector<Held> held, Duration lasts) override;
    asio::awaitable<result<std::vector<Settled>>> settle(std::vector<Settlement> settlements) override;
    asio::awaitable<result<Order>> operate(std::string order_id, Operation operation) override;
    asio::awaitable<result<BulkOutcome>> operate_all(BulkRequest request) override;
    asio::awaitable<result<std::uint64_t>> clear() override;
    asio::awaitable<result<OrderFile>> find(std::string order_id) override;
    asio::awaitable<result<Listing>> list(ListQuery query) override;
    asio::awaitable<result<Totals>> totals() override;
    std::optional<std::string> trouble() const override { return pool_.trouble(); }

    /// As lease(), but only of the orders with these numbers.
    asio::awaitable<result<Leased>> lease_these(LeaseRequest request, std::vector<std::int64_t> numbers);
    /// The numbers of `most` orders that have been due for `since`, those that waited longest first.
    asio::awaitable<result<std::vector<std::int64_t>>> due(std::size_t most, Duration since);

private:
    using Connection = storage::postgres::Connection;
    using Rows = storage::postgres::Rows;
    using Parameter = std::optional<std::string>;
    /// One try of an operation, on a connection that it may lose.
    template <class T, class... Arguments>
    using Attempt = asio::awaitable<result<T>> (PostgresStore::*)(Connection&, TimePoint, const Arguments&...);

    /// Orders that a transaction holds, and what it makes of them.
    struct Locked {
        std::vector<Record> records;
        std::map<std::string, std::size_t> by_id; ///< -> index of records
        std::set<std::int64_t> changed;           ///< numbers of those that are to be written
        Now now{};                                ///< by the clock that counts
        Counts counts{};                          ///< what they change in the totals
        std::optional<Duration> next_due_in{};

        Record* find(const std::string& order_id); ///< null if it does not exist
    };

    template <class T, class... Arguments>
    asio::awaitable<result<T>> repeat(Attempt<T, Arguments...> attempt, const Arguments&... arguments);
    template <class T, class... Arguments>
    asio::awaitable<result<T>> once(Attempt<T, Arguments...> attempt, const Arguments&... arguments);

    asio::awaitable<result<Creation>> try_create(Connection& connection, TimePoint until, const NewOrder& what,
                                                 const Parameter& key);
    asio::awaitable<result<Creation>> find_created(Connection& connection, TimePoint until, const NewOrder& what,
                                                   const Parameter& key);
    asio::awaitable<result<Leased>> try_lease(Connection& connection, TimePoint until, const LeaseRequest& request);
    asio::awaitable<result<Leased>> try_lease_these(Connection& connection, TimePoint until,
                                                    const LeaseRequest& request,
                                                    const std::vector<std::int64_t>& numbers);
    asio::awaitable<result<std::vector<bool>>> try_extend(Connection& connection, TimePoint until,
                                                          const std::vector<Held>& held, const Duration& lasts);
    asio::awaitable<result<std::vector<Settled>>> try_settle(Connection& connection, TimePoint until,
                                                             const std::vector<Settlement>& settlements);
    asio::awaitable<result<Order>> try_operate(Connection& connection, TimePoint until, const std::string& order_id,
                                               const Operation& operation);
    asio::awaitable<result<BulkOutcome>> try_operate_all(Connection& connection, TimePoint until,
                                                         const BulkRequest& request);
    asio::awaitable<result<std::uint64_t>> try_clear(Connection& connection, TimePoint until, const std::string& name);
    asio::awaitable<result<OrderFile>> try_find(Connection& connection, TimePoint until, const std::string& order_id);
    asio::awaitable<result<Listing>> try_list(Connection& connection, TimePoint until, const ListQuery& query);
    asio::awaitable<result<Totals>> try_totals(Connection& connection, TimePoint until);
    asio::awaitable<result<std::vector<std::int64_t>>> try_due(Connection& connection, TimePoint until,
                                                               const std::size_t& most, const Duration& since);

    asio::awaitable<result<Locked>> lock(Connection& connection, TimePoint until, std::vector<std::string> order_ids);
    asio::awaitable<result<Leased>> give(Connection& connection, TimePoint until, Locked locked,
                                         const LeaseRequest& request);
    asio::awaitable<result<void>> save(Connection& connection, TimePoint until, Locked locked);
    asio::awaitable<void> keep_clock(Connection& connection, TimePoint until);
    static asio::awaitable<void> roll_back(Connection& connection, TimePoint until);
    static Locked read_locked(const Rows& rows);
    Parameter now() const;
    error_code failure(const Connection& connection, error_code error);

    asio::io_context& context_;
    const Options options_;
    storage::postgres::Pool pool_;
    TimePoint keep_clock_at_{}; ///< the job clock is kept next
    std::string failure_;       ///< the latest that was logged
};

} // namespace hotspare::orders

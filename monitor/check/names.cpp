#include "monitor/check/names.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_lookups = 8; ///< at a time: each has a thread
constexpr Duration lookup_interval = seconds(1);

} // namespace

struct Names::Name {
    Name(asio::io_context& context, config::HostPort o) : origin(std::move(o)), waiting(context) {}

    config::HostPort origin;
    http::Addresses addresses{};
    error_code error{};      ///< of the latest lookup
    bool is_address = false; ///< it needs no lookup
    bool looking = false;
    TimePoint next{};
    WaitList waiting; ///< for the end of the lookup
};

Names::Names(asio::io_context& context) : context_(context), resolver_(context) {}
Names::~Names() = default;

Names::Id Names::add(const config::HostPort& origin)
{
    const auto same =
        std::find_if(names_.begin(), names_.end(), [&](const auto& name) { return name->origin == origin; });
    if (same != names_.end()) return static_cast<Id>(same - names_.begin());
    auto name = std::make_unique<Name>(context_, origin);
    error_code not_an_address;
    const auto address = asio::ip::make_address(origin.host, not_an_address);
    if (!not_an_address) {
        name->is_address = true;
        name->addresses.emplace_back(address, origin.port);
    }
    names_.push_back(std::move(name));
    return names_.size() - 1;
}

asio::awaitable<result<http::Addresses>> Names::find(Id id, TimePoint until)
{
    Name& name = *names_[id];
    if (!name.addresses.empty()) co_return name.addresses;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    enqueue(id);
    while (name.looking) {
        co_await name.waiting.wait(until);
        if (cancellation.cancelled() != asio::cancellation_type::none) co_return error_code(errc::cancelled);
        if (name.looking && Clock::now() >= until) co_return error_code(errc::timed_out);
    }
    if (!name.addresses.empty()) co_return name.addresses;
    co_return name.error;
}

void Names::doubt(Id id)
{
    const Name& name = *names_[id];
    if (!name.is_address && Clock::now() >= name.next) enqueue(id);
}

void Names::enqueue(Id id)
{
    Name& name = *names_[id];
    if (std::exchange(name.looking, true)) return;
    waiting_.push_back(id);
    start_some();
}

void Names::start_some()
{
    while (running_ < most_lookups && !waiting_.empty()) {
        const Id id = waiting_.front();
        waiting_.pop_front();
        ++running_;
        const auto& origin = names_[id]->origin;
        resolver_.look_up(origin.host, origin.port,
                          [this, id](result<http::Addresses> addresses) { found(id, std::move(addresses)); });
    }
}

void Names::found(Id id, result<http::Addresses> addresses)
{
    Name& name = *names_[id];
    --running_;
    name.looking = false;
    name.next = Clock::now() + lookup_interval;
    // A name server that is gone takes nothing away that was known.
    if (addresses)
        name.addresses = std::move(*addresses);
    else
        name.error = addresses.error();
    name.waiting.wake_all();
    start_some();
}

bool says_no_such_name(const error_code& error) noexcept
{
    return error == asio::error::host_not_found || error == asio::error::no_data ||
           error == asio::error::service_not_found;
}

} // namespace hotspare::monitor

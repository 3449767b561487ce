#include "monitor/check/names.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {

namespace asio = boost::asio;

namespace {

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
    look_up(id);
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
    if (!name.is_address && Clock::now() >= name.next) look_up(id);
}

void Names::look_up(Id id)
{
    Name& name = *names_[id];
    if (stopped_ || std::exchange(name.looking, true)) return;
    resolver_.look_up(name.origin.host, name.origin.port,
                      [this, id](result<http::NameAnswer> answer) { found(id, std::move(answer)); });
}

void Names::found(Id id, result<http::NameAnswer> answer)
{
    Name& name = *names_[id];
    name.looking = false;
    name.next = Clock::now() + lookup_interval;
    // A name server that is gone takes nothing away that was known.
    if (!answer)
        name.error = answer.error();
    else if (answer->complete || name.addresses.empty())
        name.addresses = std::move(answer->addresses);
    name.waiting.wake_all();
}

void Names::stop()
{
    stopped_ = true;
    resolver_.cancel();
}

bool says_no_such_name(const error_code& error) noexcept
{
    return error == asio::error::host_not_found || error == asio::error::no_data ||
           error == asio::error::service_not_found;
}

} // namespace hotspare::monitor

#include "common/notify/courier.hpp"

#include "common/notify/transfer.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

namespace hotspare::notify {
namespace {

/// Once in the process, before a second thread uses libcurl.
void initialise_libcurl()
{
    static const auto code = ::curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) throw std::runtime_error("libcurl cannot be initialised");
}

template <class Try> Outcome attempt(Try make, const std::atomic<bool>& stop)
{
    if (stop) return {.retryable = true, .why = "stopped, as the sender is ending"};
    try {
        return make();
    } catch (const std::exception& e) {
        return {.retryable = true, .why = e.what()};
    }
}

struct Count {
    explicit Count(std::size_t& n) : count(n) { ++count; }
    ~Count() { --count; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;

    std::size_t& count;
};

} // namespace

Courier::Courier(std::size_t threads, std::size_t most_waiting) : most_waiting_(most_waiting), worker_(threads)
{
    initialise_libcurl();
}

Courier::~Courier()
{
    stop();
}

template <class Work> asio::awaitable<Outcome> Courier::run(Work work)
{
    if (waiting_ >= most_waiting_) co_return Outcome{.retryable = true, .why = "too many messages wait to be sent"};
    const Count counted(waiting_);
    co_return co_await worker_.run(std::move(work));
}

asio::awaitable<Outcome> Courier::send(MailServer server, Mail mail)
{
    auto work = [this, server = std::move(server), mail = std::move(mail)] {
        return attempt([&] { return send_mail(server, mail, stopping_); }, stopping_);
    };
    return run(std::move(work));
}

asio::awaitable<Outcome> Courier::call(Webhook webhook, std::string body, std::string delivery)
{
    auto work = [this, webhook = std::move(webhook), body = std::move(body), delivery = std::move(delivery)] {
        return attempt([&] { return call_webhook(webhook, body, delivery, stopping_); }, stopping_);
    };
    return run(std::move(work));
}

} // namespace hotspare::notify

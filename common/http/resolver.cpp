#include "common/http/resolver.hpp"

#include "common/http/address.hpp"

#include <boost/asio/post.hpp>

#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace hotspare::http {

struct Resolver::Audience {
    std::mutex mutex;
    boost::asio::io_context* context; ///< null once no one listens

    void tell(Done done, result<Addresses> found)
    {
        const std::lock_guard lock(mutex);
        if (context == nullptr) return;
        boost::asio::post(*context, [done = std::move(done), found = std::move(found)] { done(found); });
    }
};

Resolver::Resolver(boost::asio::io_context& context) : audience_(std::make_shared<Audience>())
{
    audience_->context = &context;
}

Resolver::~Resolver()
{
    const std::lock_guard lock(audience_->mutex);
    audience_->context = nullptr;
}

void Resolver::look_up(std::string host, std::uint16_t port, Done done)
{
    try {
        // Detached: joining it would let a silent name server hold up the end of the process.
        std::thread([audience = audience_, host = std::move(host), port, done]() mutable {
            auto found = http::look_up(host, port);
            audience->tell(std::move(done), std::move(found));
        }).detach();
    } catch (const std::system_error& e) {
        audience_->tell(std::move(done), error_code(e.code().value(), boost::system::generic_category()));
    }
}

} // namespace hotspare::http

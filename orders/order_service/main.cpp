// order_service: accepts orders and keeps them. Wiring only.
#include "common/app.hpp"
#include "orders/order_service/service.hpp"
#include "orders/order_service/sqlite_store.hpp"

#include <boost/asio/post.hpp>

#include <stdexcept>

namespace {

using namespace hotspare;

void run(App& app, const orders::OrderServiceSettings& settings)
{
    bool broken = false;
    // On the store's thread: those whose writes failed have their answers on the way, and stop() lets them go out.
    const auto end = [&] {
        asio::post(app.io(), [&] {
            broken = true;
            app.stop();
        });
    };
    orders::SqliteStore store(settings.data, end, {.synchronous = settings.synchronous});
    orders::OrderService service(app.io(), settings, store);
    app.on_stop([&] { service.stop(); });
    app.ready(settings.host, service.port());
    app.run();
    if (broken)
        throw std::runtime_error("the store failed, so that it is unknown what it holds; start the service again: it "
                                 "reads back what was written");
}

} // namespace

int main(int argc, char** argv)
{
    const AppInfo info{"order_service", "accepts orders and keeps them until a validator has spoken"};
    return run_app(argc, argv, info, orders::OrderServiceSettings{}, run);
}

// order_service: accepts orders and keeps them. Wiring only.
#include "common/app.hpp"
#include "orders/order_service/postgres_store.hpp"
#include "orders/order_service/redis_queue.hpp"
#include "orders/order_service/service.hpp"
#include "orders/order_service/sqlite_store.hpp"
#include "orders/order_service/store_queue.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace {

using namespace hotspare;
using orders::OrderServiceSettings;

void serve(App& app, const OrderServiceSettings& settings, orders::OrderService& service)
{
    app.on_stop([&] { service.stop(); });
    app.ready(settings.host, service.port(),
              {{"control_url", fmt::format("http://{}:{}", settings.control.host, service.control_port())},
               {"control_port", service.control_port()}});
    app.run();
}

void run_on_sqlite(App& app, const OrderServiceSettings& settings)
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
    orders::StoreQueue queue(app.io(), store);
    orders::OrderService service(app.io(), settings, store, queue);
    serve(app, settings, service);
    if (broken)
        throw std::runtime_error(
            "the store failed, and its state is unknown; restart the service, which reads back what "
            "was written");
}

void run_on_postgres(App& app, const OrderServiceSettings& settings)
{
    orders::PostgresStore store(app.io(), storage::postgres::resolve(settings.store, "--store"),
                                {.synchronous = settings.synchronous, .patience = settings.answer_within});
    if (settings.queue.empty()) {
        orders::StoreQueue queue(app.io(), store);
        orders::OrderService service(app.io(), settings, store, queue);
        return serve(app, settings, service);
    }
    orders::RedisQueue queue(app.io(), storage::redis::resolve(settings.queue, "--queue"), settings.name, store);
    orders::OrderService service(app.io(), settings, store, queue);
    queue.start();
    serve(app, settings, service);
}

void run(App& app, const OrderServiceSettings& settings)
{
    if (settings.store.empty())
        run_on_sqlite(app, settings);
    else
        run_on_postgres(app, settings);
}

} // namespace

int main(int argc, char** argv)
{
    const AppInfo info{"order_service", "stores orders and hands them to validation_service"};
    return run_app(argc, argv, info, OrderServiceSettings{}, run);
}

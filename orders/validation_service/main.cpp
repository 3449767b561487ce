// validation_service: takes orders to the external validator. Wiring only.
#include "common/app.hpp"
#include "orders/validation_service/service.hpp"

#include <fmt/format.h>

#include <unistd.h>

int main(int argc, char** argv)
{
    using namespace hotspare;
    const AppInfo info{"validation_service",
                       "sends orders to the external validator and reports the results to order_service"};
    return run_app(
        argc, argv, info, orders::ValidationServiceSettings{},
        [](App& app, const orders::ValidationServiceSettings& settings) {
            orders::ValidationService service(app.io(), settings, fmt::format("{}-{}", settings.name, ::getpid()));
            app.on_stop([&] { service.stop(); });
            app.ready(settings.host, service.port(),
                      {{"control_url", fmt::format("http://{}:{}", settings.control.host, service.control_port())},
                       {"control_port", service.control_port()}});
            service.start();
            app.run();
        });
}

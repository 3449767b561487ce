// The third party of the order pipeline, simulated.
#include "common/app.hpp"
#include "orders/external_service/service.hpp"

#include <fmt/format.h>

int main(int argc, char** argv)
{
    using namespace hotspare;
    namespace external = orders::external;

    const AppInfo info{"external_service", "order validator with failure modes that can be switched on"};
    return run_app(argc, argv, info, external::Settings{}, [](App& app, const external::Settings& settings) {
        external::Service service(app.io(), settings);
        app.on_stop([&service] { service.stop(); });
        app.ready(settings.host, service.port(),
                  {{"control_url", fmt::format("http://{}:{}", settings.control.host, service.control_port())},
                   {"control_port", service.control_port()}});
        app.run();
    });
}

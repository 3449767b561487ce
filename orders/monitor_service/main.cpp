// Names the state of every service of the order pipeline.
#include "common/app.hpp"
#include "orders/monitor_service/service.hpp"

int main(int argc, char** argv)
{
    using namespace hotspare;
    namespace monitor = orders::monitor;

    const AppInfo info{"monitor_service", "probes services and reports each as healthy, degraded, unhealthy or down"};
    return run_app(argc, argv, info, monitor::Settings{}, [](App& app, const monitor::Settings& settings) {
        monitor::Service service(app.io(), settings);
        app.on_stop([&service] { service.stop(); });
        app.ready(settings.host, service.port());
        app.run();
    });
}

// The order pipeline as an experiment starts it for itself: every daemon of config/orders.system.yaml with the command
// line that stands there, but on free ports and with its data in a folder of its own.
//
// Thread: main's, as its processes end with the thread that started them. Lifetime: the destructor ends them.
#pragma once

#include "common/config.hpp"
#include "common/process/child.hpp"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::experiment {

class OrdersTestbed {
public:
    struct Options {
        std::filesystem::path programs;  ///< the build's folder
        std::filesystem::path config;    ///< where orders.system.yaml and gateway.yaml are
        std::filesystem::path directory; ///< for logs and data; must exist and be ours alone
    };

    /// Starts everything and waits until the gateway answers. Throws StartupError that says which process did not
    /// start, with its last words, or that it was interrupted; UsageError when a program has not been built.
    OrdersTestbed(const Options& options, const std::atomic<bool>& interrupted);
    ~OrdersTestbed();

    OrdersTestbed(const OrdersTestbed&) = delete;
    OrdersTestbed& operator=(const OrdersTestbed&) = delete;

    const config::HostPort& gateway() const noexcept { return gateway_; }
    /// The control listener of the external service, which is told there to fail.
    const config::HostPort& validator() const noexcept { return validator_; }
    /// What the external service writes down.
    const std::filesystem::path& ledger() const noexcept { return ledger_; }

    /// Which process has ended, with its last words; empty: none.
    std::string ended() const;

private:
    struct Daemon {
        std::string name;
        std::vector<Fd> sockets;
        std::unique_ptr<process::Child> child;
    };

    void end();

    config::HostPort gateway_, validator_;
    std::filesystem::path ledger_;
    std::vector<Daemon> daemons_;
};

} // namespace hotspare::experiment

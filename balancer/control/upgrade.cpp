#include "balancer/control/upgrade.hpp"

#include "common/log.hpp"
#include "common/process/notify.hpp"
#include "common/process/successor.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include <csignal>
#include <utility>

#include <unistd.h>

namespace hotspare::balancer {

Upgrade::Upgrade(asio::io_context& context, Steps steps) : context_(context), steps_(std::move(steps)), tasks_(context)
{
}

void Upgrade::begin(std::function<void(UpgradeReport)> done)
{
    // It would take the end of this process for a failure, and start one more.
    const bool is_unheard = process::is_supervised() && !process::notify("STATUS=an upgrade begins");
    const char* const refusal = cancelled_   ? "this process is about to end"
                                : done_      ? "another process serves already in place of this one"
                                : under_way_ ? "another upgrade is under way"
                                : is_unheard ? "the supervisor does not answer at NOTIFY_SOCKET"
                                             : nullptr;
    if (refusal != nullptr) {
        log::warn("no upgrade: {}", refusal);
        if (done) done({.end = UpgradeReport::End::refused, .error = refusal});
        return;
    }
    under_way_ = true;
    steps_.save([this, done = std::move(done)](std::string document) mutable {
        asio::post(context_, [this, done = std::move(done), document = std::move(document)]() mutable {
            tasks_.spawn("upgrade", run(std::move(done), std::move(document)));
        });
    });
}

void Upgrade::cancel()
{
    cancelled_ = true;
    tasks_.cancel();
}

asio::awaitable<void> Upgrade::run(std::function<void(UpgradeReport)> done, std::string document)
{
    process::Command command = steps_.command();
    auto started = co_await process::start_successor(std::move(command), std::move(document), upgrade_patience);
    under_way_ = false;
    if (started && cancelled_) { // it became ready while this process was told to end
        started->signal(SIGTERM);
        started = {boost::system::in_place_error, "this process was told to end"};
    }
    UpgradeReport report;
    if (started) {
        done_ = true;
        report.pid = started->pid();
        log::info("process {} serves in place of process {}, which finishes what it has begun", report.pid, ::getpid());
        process::notify(fmt::format("MAINPID={}", report.pid));
    } else {
        report = {.end = UpgradeReport::End::failed, .pid = 0, .error = std::move(started.error())};
        log::error("the upgrade failed, process {} goes on: {}", ::getpid(), report.error);
        process::notify(fmt::format("X_UPGRADE_FAILED={}", report.error));
    }
    if (!done) done = [](const UpgradeReport&) {};
    if (done_)
        steps_.retire([done = std::move(done), report] { done(report); });
    else
        done(report);
}

} // namespace hotspare::balancer

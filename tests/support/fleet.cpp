#include "tests/support/fleet.hpp"

#include "tests/support/own_files.hpp"
#include "tests/support/temp_dir.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace hotspare::test {

Backend::Backend(std::string program, std::string store, std::vector<std::string> more_flags)
    : program_(std::move(program)), store_(std::move(store)), more_flags_(std::move(more_flags))
{
    start();
}

void Backend::start()
{
    std::vector<std::string> flags{"--port", std::to_string(port_), "--data",
                                   store_,   "--control-port",      std::to_string(control_port_)};
    flags.insert(flags.end(), more_flags_.begin(), more_flags_.end());
    process_ = std::make_unique<Process>(binary(program_), std::move(flags));
    port_ = process_->wait_ready();
    control_port_ = process_->ready_event().at("control_port").get<std::uint16_t>();
}

void Backend::crash()
{
    process_->signal(SIGKILL);
    if (!process_->wait_exit()) throw std::runtime_error("survived SIGKILL: " + process_->description());
}

void Backend::restart()
{
    crash();
    start();
}

void Backend::fail(const std::string& query)
{
    const Answer answer = post(port_, "/fail?" + query);
    if (answer.status() != 200) throw std::runtime_error("POST /fail?" + query + ": " + answer.message.body);
}

void Backend::recover()
{
    const Answer answer = post(control_port_, "/recover");
    if (answer.status() != 200) throw std::runtime_error("POST /recover: " + answer.message.body);
}

Balancer::Balancer(const Backends& backends, std::vector<std::string> more_flags, Process::Options options)
{
    std::vector<std::string> flags{"--listen", "127.0.0.1:0"};
    if (std::find(more_flags.begin(), more_flags.end(), "--workers") == more_flags.end())
        flags.insert(flags.end(), {"--workers", "2"});
    for (const auto& [name, port] : backends) {
        flags.push_back("--backend");
        flags.push_back(name + "=http://127.0.0.1:" + std::to_string(port));
    }
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    process_ = std::make_unique<Process>(binary("balancer"), std::move(flags), std::move(options));
    port_ = process_->wait_ready();
}

Balancer Balancer::configured(const std::string& yaml)
{
    const TempDir directory; // it is read at the start; the test does not ask for more
    const auto file = (directory.path() / "balancer.yaml").string();
    std::ofstream(file) << yaml;
    return from_file(file);
}

Balancer Balancer::from_file(const std::string& path)
{
    std::vector<std::string> flags{"--config", path, "--listen", "127.0.0.1:0", "--workers", "2"};
    return Balancer(std::make_unique<Process>(binary("balancer"), std::move(flags)));
}

Balancer::Balancer(std::unique_ptr<Process> process) : process_(std::move(process)), port_(process_->wait_ready()) {}

nlohmann::json Balancer::status() const
{
    const auto status = get(port_, "/status").json();
    return status.is_discarded() ? nlohmann::json() : status;
}

double Balancer::metric(const std::string& line) const
{
    std::istringstream lines(get(port_, "/metrics").message.body);
    for (std::string text; std::getline(lines, text);)
        if (text.starts_with(line + " ")) return std::stod(text.substr(line.size() + 1));
    return -1;
}

std::string Balancer::status_of(const std::string& backend) const
{
    const auto all = status();
    if (!all.contains("backends")) return {};
    for (const auto& b : all["backends"])
        if (b.value("name", "") == backend) return b.value("status", "");
    return {};
}

std::string Balancer::active() const
{
    const auto all = status();
    const auto it = all.find("active");
    return it != all.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool Balancer::wait_for(const std::string& backend, const std::string& status) const
{
    return eventually([&] { return status_of(backend) == status; });
}

bool Balancer::wait_active(const std::string& backend) const
{
    return eventually([&] { return active() == backend; });
}

} // namespace hotspare::test

#include "tests/support/running_system.hpp"
#include "tests/support/own_files.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace hotspare::test {
namespace {

bool is_free(std::uint16_t port)
{
    try {
        (void)listen_loopback(port);
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

void wait_for_engine(Process& engine, const std::vector<std::string>& arguments)
{
    const auto flag = std::find(arguments.begin(), arguments.end(), "--port");
    if (flag == arguments.end() || flag + 1 == arguments.end()) throw std::runtime_error("an engine without a --port");
    const auto port = static_cast<std::uint16_t>(std::stoul(*(flag + 1)));
    const auto answers = [&] {
        try {
            (void)connect_loopback(port);
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    };
    if (!eventually([&] { return answers() || !engine.running(); }, seconds(60)) || !engine.running())
        throw std::runtime_error("not ready: " + engine.description());
}

} // namespace

RunningSystem::RunningSystem(const std::string& name, const Flags& flags)
    : system_(process::read_system(source_file("config/" + name + ".system.yaml"))), ports_(process::ports_of(system_))
{
    choose_ports();
    const auto run = dir_.path() / ".run" / name;
    const process::Instance instance{.port_offset = offset_, .run = run.string(), .config = source_file("config")};
    for (const process::Daemon& daemon : system_.daemons) {
        Daemon d{daemon.name, daemon.program, process::fill_in(daemon, instance).arguments, false};
        d.engine = std::filesystem::exists(source_file("engines/" + d.program));
        if (const auto more = flags.find(d.name); more != flags.end())
            d.arguments.insert(d.arguments.end(), more->second.begin(), more->second.end());
        daemons_.push_back(std::move(d));
    }
    std::filesystem::create_directories(run);
    try {
        for (const Daemon& d : daemons_) start(d.name);
    } catch (...) {
        end();
        throw;
    }
}

RunningSystem::~RunningSystem()
{
    end();
}

void RunningSystem::choose_ports()
{
    // Below 32768, where the local ends of other people's connections begin: what is free now stays free.
    std::mt19937 random(std::random_device{}());
    for (int attempt = 0; attempt < 100; ++attempt) {
        offset_ = 10'000 + static_cast<unsigned>(random() % 10'000);
        if (std::all_of(ports_.begin(), ports_.end(), [&](unsigned p) { return is_free(port(p)); })) return;
    }
    throw std::runtime_error("no free ports");
}

void RunningSystem::start(const std::string& daemon)
{
    const auto it = std::find_if(daemons_.begin(), daemons_.end(), [&](const Daemon& d) { return d.name == daemon; });
    if (it == daemons_.end()) throw std::runtime_error("no such daemon: " + daemon);
    Process::Options options;
    options.directory = dir_.path().string();
    auto& process = processes_[daemon];
    process.reset();
    const std::string program = it->engine ? source_file("engines/" + it->program) : binary(it->program);
    process = std::make_unique<Process>(program, it->arguments, options);
    if (!it->engine)
        process->wait_ready();
    else
        wait_for_engine(*process, it->arguments);
}

std::vector<std::string> RunningSystem::daemons() const
{
    std::vector<std::string> names;
    for (const Daemon& d : daemons_) names.push_back(d.name);
    return names;
}

void RunningSystem::end()
{
    for (const Daemon& d : daemons_)
        if (!d.engine) processes_.erase(d.name);
    for (auto& [name, engine] : processes_) {
        if (!engine) continue;
        engine->signal(SIGCONT);
        engine->signal(SIGINT);
        (void)engine->wait_exit();
    }
}

std::vector<std::string> RunningSystem::names()
{
    constexpr std::string_view ending = ".system.yaml";
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(source_file("config")))
        if (const auto file = entry.path().filename().string(); file.ends_with(ending))
            names.push_back(file.substr(0, file.size() - ending.size()));
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace hotspare::test

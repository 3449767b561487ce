#include "tests/support/running_system.hpp"
#include "tests/support/own_files.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
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

std::vector<std::string> lines_without_comments(const std::string& file)
{
    std::ifstream in(source_file(file));
    if (!in) throw std::runtime_error("no such file: " + file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);)
        if (!line.empty() && !line.starts_with('#')) lines.push_back(line);
    return lines;
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

const std::regex port_variable(R"re(\$\{port:(\d+)\})re");

/// Replaces every ${port:N} by N + offset.
std::string shifted(const std::string& text, unsigned offset)
{
    std::string out;
    auto rest = text.begin();
    for (std::sregex_iterator m(text.begin(), text.end(), port_variable), end; m != end; ++m) {
        out.append(rest, text.begin() + m->position());
        out += std::to_string(std::stoul((*m)[1]) + offset);
        rest = text.begin() + m->position() + m->length();
    }
    return out.append(rest, text.end());
}

} // namespace

RunningSystem::RunningSystem(const std::string& name, const Flags& flags)
    : lines_(lines_without_comments("config/" + name + ".system"))
{
    static const std::regex listen(R"re(^listen: *\S+:(\d+))re");
    for (const std::string& line : lines_)
        for (std::sregex_iterator m(line.begin(), line.end(), port_variable), end; m != end; ++m)
            ports_.insert(static_cast<unsigned>(std::stoul((*m)[1])));
    static const std::regex file(R"re(--config (\S+))re");
    for (const std::string& line : lines_) {
        std::smatch config;
        if (!std::regex_search(line, config, file)) continue;
        for (const std::string& setting : lines_without_comments(config[1])) {
            std::smatch m;
            if (std::regex_search(setting, m, listen)) ports_.insert(static_cast<unsigned>(std::stoul(m[1])));
        }
    }
    ports_.erase(0); // ${port:0} stands for the offset itself
    choose_ports();

    for (const std::string& line : lines_) {
        std::istringstream words(shifted(line, offset_));
        Daemon d;
        words >> d.name >> d.program;
        d.engine = std::filesystem::exists(source_file("engines/" + d.program));
        for (std::string word; words >> word;)
            d.arguments.push_back(word.starts_with("config/") ? source_file(word) : word);
        if (const auto more = flags.find(d.name); more != flags.end())
            d.arguments.insert(d.arguments.end(), more->second.begin(), more->second.end());
        daemons_.push_back(std::move(d));
    }
    std::filesystem::create_directories(dir_.path() / ".run" / name);
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
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(source_file("config")))
        if (entry.path().extension() == ".system") names.push_back(entry.path().stem().string());
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace hotspare::test

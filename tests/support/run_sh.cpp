#include "tests/support/run_sh.hpp"

#include "tests/support/raw_client.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace hotspare::test {
namespace {

namespace fs = std::filesystem;

bool port_is_free(unsigned port)
{
    try {
        bind_loopback(static_cast<std::uint16_t>(port));
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

/// An offset at which every port of every system is free. Tests are processes of their own and may run next to each
/// other, so neighbouring process ids look at distant ports.
unsigned free_offset()
{
    constexpr unsigned slots = 60;
    const std::initializer_list<unsigned> ports{3001, 3002, 3101, 3102, 5000, 5001, 5002, 5003, 5004, 5011,
                                                5012, 5101, 5102, 5103, 5111, 5112, 5432, 6379, 8000, 8001,
                                                8002, 8003, 8010, 8021, 8080, 8100, 8101, 8102, 8103, 8180};
    for (unsigned i = 0; i < slots; ++i) {
        const unsigned offset = 12000 + (static_cast<unsigned>(::getpid()) + i) % slots * 200;
        if (std::all_of(ports.begin(), ports.end(), [&](unsigned port) { return port_is_free(port + offset); }))
            return offset;
    }
    throw std::runtime_error("no free ports");
}

} // namespace

/// The search for leaks at a daemon's exit may hang for good if a second signal comes meanwhile, and run.sh sends
/// one where a terminal has. Other system tests look for leaks.
RunSh::RunSh() : offset_(free_offset())
{
    ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
}

RunSh::~RunSh()
{
    sh({"stop"});
    for (const auto& file : fs::recursive_directory_iterator(directory_.path())) {
        if (file.path().extension() != ".log") continue;
        std::ifstream in(file.path());
        const std::string log(std::istreambuf_iterator<char>(in), {});
        EXPECT_FALSE(has_sanitizer_report(log)) << file.path() << ":\n" << log;
    }
}

Process::Options RunSh::options() const
{
    Process::Options options;
    options.environment = {{"HOTSPARE_RUN_DIR", directory_.path().string()}, {"HOTSPARE_BUILD_DIR", build_}};
    return options;
}

std::vector<std::string> RunSh::with_offset(std::vector<std::string> arguments) const
{
    arguments.insert(arguments.end(), {"--port-offset", std::to_string(offset_)});
    return arguments;
}

Finished RunSh::sh(const std::vector<std::string>& arguments, milliseconds bound) const
{
    return run(source_file("run.sh"), with_offset(arguments), options(), bound);
}

fs::path RunSh::instance(const std::string& system) const
{
    return directory_.path() / (system + "+" + std::to_string(offset_));
}

pid_t RunSh::recorded(const std::string& system, const std::string& file) const
{
    pid_t pid = 0;
    std::ifstream(instance(system) / file) >> pid;
    return pid;
}

void RunSh::replace_program(const std::string& name, const std::string& script)
{
    for (const auto* program : {"primary", "spare", "balancer", "supervisor"}) {
        const auto folder = directory_.path() / "programs" / program;
        fs::create_directories(folder);
        fs::create_symlink(binary(program), folder / program);
    }
    build_ = (directory_.path() / "programs").string();
    const auto file = fs::path(build_) / name / name;
    fs::remove(file);
    std::ofstream(file) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(file, fs::perms::owner_all);
}

bool RunSh::nothing_listens(std::initializer_list<unsigned> bases) const
{
    for (const unsigned base : bases)
        if (get(port(base), "/health").status() != 0) return false;
    return true;
}

bool RunSh::alive(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(") ");
    return name_end != std::string::npos && text[name_end + 2] != 'Z';
}

std::vector<std::string> RunSh::left_behind() const
{
    const std::string mark = "HOTSPARE_RUN_DIR=" + directory_.path().string() + '\0';
    const auto read = [](const fs::path& file) {
        std::ifstream in(file);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    std::vector<std::string> result;
    for (const auto& process : fs::directory_iterator("/proc")) {
        std::error_code error;
        const std::string folder = fs::read_symlink(process.path() / "cwd", error);
        if (read(process.path() / "environ").find(mark) == std::string::npos &&
            !folder.starts_with(directory_.path().string()))
            continue;
        std::string command = read(process.path() / "cmdline");
        std::replace(command.begin(), command.end(), '\0', ' ');
        result.push_back(process.path().filename().string() + ": " + command);
    }
    return result;
}

void RunSh::interrupt(milliseconds moment, int presses)
{
    SCOPED_TRACE(std::to_string(presses) + " x ^C after " + std::to_string(moment.count()) + " ms");
    fs::remove_all(instance("failover"));
    auto as_a_job = options();
    as_a_job.own_group = true;
    Process up(source_file("run.sh"), with_offset({"up"}), as_a_job);
    ASSERT_TRUE(
        eventually([&] { return fs::exists(instance("failover") / "supervisor.log"); }, patience, milliseconds(1)));
    stand_still(moment);
    for (int press = 0; press < presses; ++press) {
        if (press) stand_still(milliseconds(50));
        up.signal_group(SIGINT);
    }
    const auto code = up.wait_exit(seconds(5));
    if (code == 0) {
        EXPECT_EQ(get(port(5000), "/health").status(), 200);
        EXPECT_EQ(sh({"stop"}).code, 0);
    } else {
        EXPECT_EQ(code, 130) << up.description();
    }
    EXPECT_EQ(left_behind(), std::vector<std::string>());
    EXPECT_NE(sh({"status"}).out.find("nothing runs"), std::string::npos);
}

} // namespace hotspare::test

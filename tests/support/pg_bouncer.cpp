#include "tests/support/pg_bouncer.hpp"

#include "common/process/process.hpp"

#include <filesystem>
#include <stdexcept>
#include <system_error>

#include <unistd.h>

namespace hotspare::test {
namespace {

constexpr auto program = "/usr/sbin/pgbouncer";

} // namespace

bool PgBouncer::available()
{
    return std::filesystem::exists(program);
}

PgBouncer::PgBouncer(std::uint16_t server, const std::string& mode, unsigned connections) : port_(process::free_port())
{
    const auto config = folder_.write(
        "pgbouncer.ini", "[databases]\norders = host=127.0.0.1 user=hotspare port=" + std::to_string(server) +
                             "\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " + std::to_string(port_) +
                             "\nauth_type = any\nunix_socket_dir =\npool_mode = " + mode + "\ndefault_pool_size = " +
                             std::to_string(connections) + "\nignore_startup_parameters = extra_float_digits\n");
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
    std::vector<std::string> command{"--pdeathsig", "KILL"};
    if (::geteuid() == 0) command.insert(command.end(), {"--reuid=postgres", "--regid=postgres", "--clear-groups"});
    command.insert(command.end(), {program, config});
    Process::Options options;
    options.directory = folder_.path().string();
    process_ = std::make_unique<Process>("/usr/bin/setpriv", command, options);
    const auto answers = [&] {
        try {
            (void)connect_loopback(port_);
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    };
    if (!eventually([&] { return answers() || !process_->running(); }) || !process_->running())
        throw std::runtime_error("PgBouncer did not start: " + process_->description());
}

std::string PgBouncer::url() const
{
    return "postgres://hotspare@127.0.0.1:" + std::to_string(port_) + "/orders";
}

} // namespace hotspare::test

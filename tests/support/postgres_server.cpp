#include "tests/support/postgres_server.hpp"

#include "common/process/process.hpp"

#include <pwd.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace hotspare::test {
namespace {

namespace fs = std::filesystem;

/// What a working call needs is a fraction of this; a machine that is starved needs more.
constexpr milliseconds psql_bound = seconds(30);

std::string binaries_folder()
{
    const Finished asked = run("/usr/bin/env", {"pg_config", "--bindir"});
    const std::string folder = asked.out.substr(0, asked.out.find('\n'));
    if (asked.code != 0 || !fs::exists(folder + "/initdb"))
        throw std::runtime_error("no PostgreSQL server here (pg_config --bindir: '" + folder +
                                 "'): install the packages postgresql and libpq-dev");
    return folder;
}

/// `program` and its arguments as a user that PostgreSQL accepts. The kernel forgets which signal is to follow our
/// death when a process changes its user, so setpriv says it again; SIGQUIT, as that server takes its children and its
/// shared memory along.
std::vector<std::string> as_server_user(std::vector<std::string> program)
{
    std::vector<std::string> command{"setpriv", "--pdeathsig", "QUIT"};
    if (::geteuid() == 0) command.insert(command.end(), {"--reuid=postgres", "--regid=postgres", "--clear-groups"});
    command.insert(command.end(), program.begin(), program.end());
    return command;
}

void give_to_server_user(const fs::path& folder)
{
    if (::geteuid() != 0) return;
    const passwd* user = ::getpwnam("postgres");
    if (!user) throw std::runtime_error("no user postgres to run PostgreSQL as: install the package postgresql");
    if (::chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0)
        throw std::system_error(errno, std::generic_category(), "chown " + folder.string());
}

/// A killed server cannot remove its shared memory segment, a few bytes that guard its folder; the next start does. If
/// there is none, this does: line 7 of postmaster.pid holds the segment's key and its id.
void remove_segment_of_the_killed(const fs::path& data)
{
    std::ifstream file(data / "postmaster.pid");
    std::string line;
    for (int i = 0; i < 6; ++i) std::getline(file, line);
    long key = 0;
    int id = 0;
    if (file >> key >> id) ::shmctl(id, IPC_RMID, nullptr);
}

} // namespace

PostgresServer::PostgresServer(Options options) : binaries_(binaries_folder()), port_(process::free_port())
{
    give_to_server_user(folder_.path());
    const std::string data = folder_.path() / "data";
    Process::Options in_folder;
    in_folder.directory = folder_.path().string(); // one that the server's user may enter
    // Small log segments and no dynamic shared memory outside the folder: quick to make, and gone with it.
    const auto initialised =
        hotspare::test::run("/usr/bin/env",
                            as_server_user({binaries_ + "/initdb", "-D", data, "--no-sync", "--no-instructions", "-A",
                                            "trust", "-U", "hotspare", "-E", "UTF8", "--locale=C", "--wal-segsize=1"}),
                            in_folder, seconds(60));
    if (initialised.code != 0) throw std::runtime_error("initdb failed: " + initialised.out + initialised.err);

    // After a crash all files are synced, of which --no-sync has left a thousand to do: one syncfs() does it in one go.
    std::vector<std::pair<std::string, std::string>> settings{{"listen_addresses", "127.0.0.1"},
                                                              {"port", std::to_string(port_)},
                                                              {"unix_socket_directories", folder_.path().string()},
                                                              {"shared_buffers", "16MB"},
                                                              {"dynamic_shared_memory_type", "mmap"},
                                                              {"recovery_init_sync_method", "syncfs"},
                                                              {"max_connections", "50"},
                                                              {"fsync", options.fsync ? "on" : "off"}};
    settings.insert(settings.end(), options.settings.begin(), options.settings.end());
    command_ = {binaries_ + "/postgres", "-D", data};
    for (const auto& [name, value] : settings) command_.insert(command_.end(), {"-c", name + "=" + value});
    command_ = as_server_user(command_);
    start();
    psql("postgres", "create database orders");
}

PostgresServer::~PostgresServer()
{
    if (frozen_) ::kill(*frozen_, SIGCONT);
    if (process_ && process_->signal(SIGQUIT) && process_->wait_exit()) process_->wait_output_end();
    remove_segment_of_the_killed(folder_.path() / "data");
}

std::string PostgresServer::url() const
{
    return "postgres://hotspare@127.0.0.1:" + std::to_string(port_) + "/orders";
}

void PostgresServer::start()
{
    if (running()) return;
    process_.reset();
    Process::Options options;
    options.directory = folder_.path().string();
    process_ = std::make_unique<Process>("/usr/bin/env", command_, options);
    if (process_->wait_line("database system is ready to accept connections")) return;
    (void)process_->wait_exit(milliseconds(100));
    throw std::runtime_error("PostgreSQL did not start: " + process_->description());
}

void PostgresServer::stop()
{
    end(SIGINT);
}

void PostgresServer::restart_at_once()
{
    end(SIGQUIT);
    start();
}

void PostgresServer::kill()
{
    end(SIGKILL);
}

void PostgresServer::freeze_log_writer()
{
    frozen_ = std::stoi(run("select pid from pg_stat_activity where backend_type = 'walwriter'"));
    if (::kill(*frozen_, SIGSTOP) != 0) throw std::system_error(errno, std::generic_category(), "kill");
}

void PostgresServer::end(int signal)
{
    const auto frozen = std::exchange(frozen_, std::nullopt);
    if (frozen && signal != SIGKILL) ::kill(*frozen, SIGCONT);
    if (!process_ || !process_->signal(signal)) return;
    const bool ended = process_->wait_exit().has_value();
    // Who is stopped does not notice that the others die.
    if (frozen && signal == SIGKILL) ::kill(*frozen, SIGKILL);
    // All its processes write to the same log: when no process has it open any more, all have ended.
    if (!ended || !process_->wait_output_end())
        throw std::runtime_error("PostgreSQL did not end: " + process_->description());
}

std::string PostgresServer::run(const std::string& sql) const
{
    return psql("orders", sql);
}

std::string PostgresServer::psql(const std::string& database, const std::string& sql) const
{
    Process::Options options;
    options.environment = {{"PGCONNECT_TIMEOUT", "10"}};
    Finished done = hotspare::test::run(binaries_ + "/psql",
                                        {"-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                                         std::to_string(port_), "-U", "hotspare", "-d", database, "-c", sql},
                                        options, psql_bound);
    if (done.code != 0) throw std::runtime_error("psql (" + std::to_string(done.code) + "): " + sql + ": " + done.err);
    if (done.out.ends_with('\n')) done.out.pop_back();
    return std::move(done.out);
}

int PostgresServer::terminate_backends() const
{
    return std::stoi(run("select count(pg_terminate_backend(pid)) from pg_stat_activity "
                         "where backend_type = 'client backend' and pid <> pg_backend_pid()"));
}

} // namespace hotspare::test

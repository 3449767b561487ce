#include "common/app.hpp"

#include "common/help.hpp"
#include "common/log.hpp"
#include "common/privileges.hpp"
#include "common/process/listen_sockets.hpp"
#include "common/process/notify.hpp"
#include "common/signals.hpp"
#include "common/version.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <sys/resource.h>

namespace hotspare {
namespace {

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

/// What the frame itself takes from the command line.
struct FrameOptions {
    std::string config_file;
    std::string log_level = "info";
    std::string log_format = "auto";
    std::string user;
    const char* log_level_source = "--log-level"; ///< who said so, for messages
    const char* log_format_source = "--log-format";
    bool check_config = false;
    bool print_config = false;
    bool help_config = false;
};

void print_error(std::string_view message)
{
    // One line, whatever a library or a client put into it.
    std::string line(message);
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return std::iscntrl(c); }, ' ');
    std::fprintf(stderr, "%s\n", line.c_str());
}

std::optional<std::string> environment(const std::string& name)
{
    const char* value = std::getenv(name.c_str());
    if (!value) return std::nullopt;
    return value;
}

template <class E>
E word_to(const std::string& text, std::initializer_list<std::pair<const char*, E>> words, const char* flag)
{
    std::string expected;
    for (const auto& [word, value] : words) {
        if (text == word) return value;
        expected += (expected.empty() ? "" : " | ") + std::string(word);
    }
    throw UsageError(fmt::format("{}: unknown word '{}', expected {}", flag, text, expected));
}

log::Settings log_settings(const AppInfo& info, const FrameOptions& options)
{
    log::Settings out;
    out.service = info.name;
    out.level = word_to<log::Level>(options.log_level,
                                    {{"trace", log::Level::trace},
                                     {"debug", log::Level::debug},
                                     {"info", log::Level::info},
                                     {"warning", log::Level::warn},
                                     {"error", log::Level::error},
                                     {"critical", log::Level::critical},
                                     {"off", log::Level::off}},
                                    options.log_level_source);
    out.format = word_to<log::Format>(
        options.log_format,
        {{"auto", log::Format::automatic}, {"text", log::Format::text}, {"json", log::Format::json}},
        options.log_format_source);
    return out;
}

/// The command line of one daemon: the frame's own flags and those of its settings.
class CommandLine {
public:
    CommandLine(const AppInfo& info, const config::Loader& loader) : cli_(info.summary, info.name)
    {
        // A daemon that has a setting of that name (the backend's --version v2) keeps it for itself.
        const auto& flags = loader.available_flags();
        if (std::none_of(flags.begin(), flags.end(), [](const config::Flag& flag) { return flag.name == "version"; }))
            cli_.set_version_flag("--version", fmt::format("{} {}", info.name, version()));
        cli_.formatter(narrow_help());
        cli_.set_help_flag("-h,--help", "print this help and exit");
        cli_.allow_extras(); // to refuse unknown flags in our words
        cli_.footer("A flag that sets a value can also be given as an environment variable:\n--some-flag is "
                    "HOTSPARE_SOME_FLAG, --port also PORT.\nPrecedence: flag, environment, file, default.");
        const std::string frame = "Common options";
        cli_.add_option("--config", options_.config_file, "YAML configuration file (HOTSPARE_CONFIG)")
            ->type_name("FILE")
            ->group(frame);
        cli_.add_flag("--check-config", options_.check_config, "check flags, environment and file, and exit")
            ->group(frame);
        cli_.add_flag("--print-config", options_.print_config, "print the effective settings as YAML and exit")
            ->group(frame);
        cli_.add_flag("--help-config", options_.help_config, "list every key of the configuration file and exit")
            ->group(frame);
        cli_.add_option("--user", options_.user,
                        "user to run as, if started by root; ports below 1024 can still be used (HOTSPARE_USER)")
            ->type_name("NAME")
            ->group(frame);
        cli_.add_option("--log-level", options_.log_level,
                        "trace | debug | info | warning | error | critical | off [info]")
            ->type_name("LEVEL")
            ->group(frame);
        cli_.add_option("--log-format", options_.log_format,
                        "text | json | auto; auto = text on a terminal, else json [auto]")
            ->type_name("FORMAT")
            ->group(frame);
        values_.resize(loader.available_flags().size());
        for (std::size_t i = 0; i < values_.size(); ++i) add(loader.available_flags()[i], values_[i]);
    }

    /// Returns an exit code if that is all there is to do.
    std::optional<int> parse(int argc, const char* const* argv)
    {
        if (const auto file = environment("HOTSPARE_CONFIG")) options_.config_file = *file;
        if (const auto user = environment("HOTSPARE_USER")) options_.user = *user;
        if (const auto level = environment("HOTSPARE_LOG_LEVEL"); level && !level->empty()) {
            options_.log_level = *level;
            options_.log_level_source = "HOTSPARE_LOG_LEVEL";
        }
        if (const auto format = environment("HOTSPARE_LOG_FORMAT"); format && !format->empty()) {
            options_.log_format = *format;
            options_.log_format_source = "HOTSPARE_LOG_FORMAT";
        }
        try {
            cli_.parse(argc, argv);
        } catch (const CLI::Success& e) {
            return cli_.exit(e);
        } catch (const CLI::ParseError& e) {
            throw UsageError(e.what());
        }
        if (cli_.count("--log-level") > 0) options_.log_level_source = "--log-level";
        if (cli_.count("--log-format") > 0) options_.log_format_source = "--log-format";
        if (const auto extras = cli_.remaining(); !extras.empty()) refuse(extras.front());
        return std::nullopt;
    }

    const FrameOptions& options() const noexcept { return options_; }

    /// Of the flags of `loader`, with which this was made.
    std::vector<config::Given> given(const config::Loader& loader) const
    {
        std::vector<config::Given> out;
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const auto& flag = loader.available_flags()[i];
            const auto place = "--" + flag.name;
            const bool absent = values_[i].empty() || (flag.is_switch && values_[i].front().empty());
            if (absent) continue;
            if (!flag.repeatable && values_[i].size() > 1)
                throw UsageError(fmt::format("{}: given {} times, expected once", place, values_[i].size()));
            out.push_back({&flag, values_[i], place});
        }
        return out;
    }

private:
    void add(const config::Flag& flag, std::vector<std::string>& values)
    {
        const auto name = "--" + flag.name;
        if (flag.is_switch) {
            // The value is optional and then follows '=': --forwarded, --forwarded=false.
            cli_.add_flag(name, values.emplace_back(), flag.help);
            return;
        }
        cli_.add_option_function<std::vector<std::string>>(
                name, [&values](const std::vector<std::string>& given) { values = given; }, flag.help)
            ->type_name(flag.metavar)
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }

    [[noreturn]] void refuse(const std::string& argument) const
    {
        if (!argument.starts_with('-'))
            throw UsageError(fmt::format("'{}': unexpected argument, expected flags only (see --help)", argument));
        const auto name = argument.substr(0, argument.find('='));
        std::vector<std::string> known;
        for (const auto* option : cli_.get_options())
            for (const auto& long_name : option->get_lnames()) known.push_back("--" + long_name);
        const auto nearest = config::did_you_mean(name, known);
        throw UsageError(
            fmt::format("{}: unknown flag, {}", name,
                        nearest ? fmt::format("did you mean {}?", *nearest) : "see --help for those expected"));
    }

    CLI::App cli_;
    FrameOptions options_;
    std::vector<std::vector<std::string>> values_; ///< parallel to the loader's flags
};

sigset_t signal_mask(std::initializer_list<int> signals)
{
    sigset_t out;
    sigemptyset(&out);
    for (const int signal : signals) sigaddset(&out, signal);
    return out;
}

/// By default these end a process. They are blocked before anything else is done, and only a SignalWatch's thread
/// takes them: so they are harmless from the first moment to the last.
void keep_from_ending_the_process()
{
    const sigset_t harmless = signal_mask({SIGHUP, SIGUSR1, SIGUSR2});
    ::pthread_sigmask(SIG_BLOCK, &harmless, nullptr);
}

/// Tells the App about SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2, and ends the process at the second of the first
/// two. It has a thread of its own so that the second signal works precisely when the main loop no longer does.
class SignalWatch {
public:
    explicit SignalWatch(App& app) : app_(app), signals_(io_, SIGINT, SIGTERM)
    {
        signals_.add(SIGHUP);
        signals_.add(SIGUSR1);
        signals_.add(SIGUSR2);
        wait();
        {
            // A signal that comes while the thread is being made waits for its first line: the thread sanitizer loses
            // those that a thread takes before it.
            const SignalsWait while_it_starts;
            thread_ = std::thread([this] {
                const sigset_t ours = signal_mask({SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2});
                ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
                io_.run();
            });
        }
        // Only that thread takes them: every other is started later and inherits the mask, but for the log's writer,
        // which takes no signal either.
        const sigset_t stopping = signal_mask({SIGINT, SIGTERM});
        ::pthread_sigmask(SIG_BLOCK, &stopping, &before_);
    }

    ~SignalWatch()
    {
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        io_.stop();
        thread_.join();
    }

    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

private:
    void wait()
    {
        signals_.async_wait([this](const error_code& error, int signal) {
            if (error) return;
            if (signal == SIGHUP) {
                app_.reload();
            } else if (signal == SIGUSR1) {
                app_.reopen();
            } else if (signal == SIGUSR2) {
                app_.upgrade();
            } else {
                if (asked_) std::_Exit(128 + signal);
                asked_ = true;
                app_.stop();
            }
            wait();
        });
    }

    App& app_;
    asio::io_context io_{1};
    asio::signal_set signals_;
    bool asked_ = false;
    sigset_t before_{}; ///< the mask of the thread that made this
    std::thread thread_;
};

/// A balancer of thousands of connections must not end at the 1024 descriptors that a login session starts with.
void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Where this program can be started again: the path that it was started with, which may lead to another file by then.
std::string program_path(const char* as_given)
{
    const std::string_view given = as_given != nullptr ? as_given : "";
    std::error_code failed;
    auto path = given.find('/') != std::string_view::npos ? std::filesystem::absolute(given, failed)
                                                          : std::filesystem::read_symlink("/proc/self/exe", failed);
    return failed ? std::string(given) : path.string();
}

int run_daemon(const AppInfo& info, const log::Settings& log_settings, const std::string& user,
               const std::vector<std::string>& warnings, process::Predecessor& predecessor,
               const std::function<void(App&)>& body)
{
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    if (!user.empty())
        become_user(user);
    else if (!info.keeps_rights)
        give_up_capabilities();
    std::vector<std::string> usage_errors;
    {
        const log::Session session(log_settings);
        try {
            for (const auto& warning : warnings) log::warn("{}", warning);
            App app(predecessor);
            const SignalWatch watch(app);
            body(app);
            log::info("stopped");
            return EXIT_SUCCESS;
        } catch (const UsageError& e) {
            usage_errors = e.messages; // found only now: a name that does not resolve, a port that is taken
        } catch (const std::exception& e) {
            log::critical("failed: {}", e.what());
            predecessor.tell_failure(e.what());
            return exit_failure;
        }
    }
    throw UsageError(std::move(usage_errors)); // after the log is written, so that this is the last line
}

} // namespace

std::string_view version() noexcept
{
    return HOTSPARE_VERSION;
}

// --- App -------------------------------------------------------------------------------------------------------------

void App::on_stop(std::function<void()> handler)
{
    if (stopping_)
        asio::post(io_, std::move(handler));
    else
        handlers_.push_back(std::move(handler));
}

void App::ready(std::string_view host, std::uint16_t port, const std::vector<ReadyField>& fields)
{
    const auto url = "http://" + config::format_host_port({std::string(host), port});
    std::string details;
    nlohmann::json all = {{"event", "ready"}, {"url", url}, {"port", port}};
    for (const auto& [name, value] : fields)
        std::visit(
            [&](const auto& known) {
                details += fmt::format("{}{} {}", details.empty() ? " (" : ", ", name, known);
                all[name] = known;
            },
            value);
    if (!details.empty()) details += ')';
    for (const auto& socket : process::unused_inherited())
        log::warn("the inherited socket {} is for no listener of this daemon; connections to it are not answered",
                  socket);
    if (!predecessor_.tell_ready()) {
        log::critical("the process that this one was to replace has ended; what supervises it has started another");
        return stop();
    }
    process::notify("READY=1");
    log::event(log::Level::info, fmt::format("listening on {}{}", url, details), all);
}

void App::on_reopen(std::function<void()> handler)
{
    reopen_ = std::move(handler);
}

void App::on_reload(std::function<void()> handler)
{
    reload_ = std::move(handler);
}

void App::on_upgrade(std::function<void()> handler)
{
    upgrade_ = std::move(handler);
}

void App::run()
{
    io_.run();
}

void App::reopen()
{
    asio::post(io_, [this] {
        if (reopen_)
            reopen_();
        else
            log::info("SIGUSR1 is ignored: no log file is open");
    });
}

void App::reload()
{
    asio::post(io_, [this] {
        if (reload_)
            reload_();
        else
            log::warn("SIGHUP is ignored: the configuration is read at start only; to apply changes, restart");
    });
}

void App::upgrade()
{
    asio::post(io_, [this] {
        if (upgrade_)
            upgrade_();
        else
            log::warn("SIGUSR2 is ignored: this program does not start another process in its place; to change to a "
                      "new version, restart it");
    });
}

void App::stop()
{
    asio::post(io_, [this] { handle_stop(); });
}

void App::handle_stop()
{
    if (std::exchange(stopping_, true)) return;
    log::info("stopping");
    for (const auto& handler : std::exchange(handlers_, {})) handler();
}

// --- run_app ---------------------------------------------------------------------------------------------------------

int run_app(int argc, const char* const* argv, const AppInfo& info, config::Loader& loader,
            const std::function<void(App&)>& body)
{
    keep_from_ending_the_process();
    process::claim_inherited();
    process::Predecessor predecessor;
    try {
        CommandLine command_line(info, loader);
        if (const auto done = command_line.parse(argc, argv)) return *done;
        const auto& options = command_line.options();
        if (options.help_config) {
            fmt::print("{}", loader.reference());
            return EXIT_SUCCESS;
        }
        loader.load_all(options.config_file, environment, command_line.given(loader));
        loader.complete();
        const auto log = log_settings(info, options);
        if (options.print_config) fmt::print("{}", loader.print());
        if (options.check_config) {
            for (const auto& warning : loader.warnings()) print_error("warning: " + warning);
            if (!options.print_config)
                fmt::print("{}: the configuration is valid\n",
                           options.config_file.empty() ? info.name : options.config_file);
        }
        if (options.print_config || options.check_config) return EXIT_SUCCESS;
        return run_daemon(info, log, options.user, loader.warnings(), predecessor, [&](App& app) {
            app.program_ = program_path(argv[0]);
            app.arguments_.assign(argv + 1, argv + argc);
            app.config_file_ = options.config_file;
            app.load_again_ = [&](config::Loader& again) {
                again.load_all(options.config_file, environment, command_line.given(again));
                again.complete();
            };
            body(app);
        });
    } catch (const UsageError& e) {
        for (const auto& message : e.messages) print_error(message);
        predecessor.tell_failure(fmt::format("{}", fmt::join(e.messages, "; ")));
        return exit_usage;
    } catch (const std::exception& e) {
        print_error(fmt::format("{}: {}", info.name, e.what()));
        predecessor.tell_failure(e.what());
        return exit_failure;
    }
}

} // namespace hotspare

#include "monitor/serve/recorder.hpp"

#include "common/http/guard.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "monitor/notify/wording.hpp"

#include <boost/asio/this_coro.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <random>
#include <utility>

namespace hotspare::monitor {
namespace {

using std::chrono::days;

/// How often what changed nothing is stored.
constexpr Duration flush_interval = seconds(1);
/// More steps and rollups that could not be stored are a failure that goes on: some thousand are an hour of a bad day.
constexpr std::size_t most_waiting = 20'000;
constexpr milliseconds expiry_interval = std::chrono::minutes(10);
constexpr std::size_t most_restored_incidents = 500;
/// How often it is looked what others wrote into the table of windows; while it cannot be reached, first sooner.
constexpr Duration table_interval = seconds(5);
constexpr Duration first_table_pause = seconds(1);
/// Who changed a window by its row, in the audit log.
constexpr auto table_user = "system_maintenance";

enum TroubleKind : int { samples_dropped, not_committed };

BoardSettings board_settings(const MonitorSettings& settings)
{
    BoardSettings result{.title = settings.title, .base_url = settings.url};
    for (const TargetSettings& target : settings.targets) result.maintenance.components.push_back(target.name);
    for (const TargetSettings& target : settings.targets)
        if (target.operate) result.maintenance.operated.push_back(target.name);
    result.maintenance.notice = std::chrono::floor<milliseconds>(settings.notice);
    for (const Channel& channel : settings.channels)
        result.notification.channels.push_back({channel.name, channel.outages, channel.maintenance});
    result.notification.gather = std::chrono::floor<milliseconds>(settings.gather);
    result.notification.cooldown = std::chrono::floor<milliseconds>(settings.cooldown);
    result.notification.digest_above = settings.digest_above;
    return result;
}

http::Problem not_stored(const error_code& error)
{
    return {503, fmt::format("nothing was changed: the history cannot be written to ({}); try again", error.message())};
}

http::Problem not_in_table(const std::string& trouble)
{
    return {503,
            fmt::format("nothing was changed: PostgreSQL, which stores the maintenance windows, is unavailable ({}); "
                        "try again",
                        trouble)};
}

std::string in_short(const Window& window)
{
    return fmt::format("{} from {} to {}: {}", window.plan.emergency ? "emergency" : "announced",
                       in_words(window.plan.start), in_words(window.plan.end),
                       shortened(window.plan.title.empty() ? window.plan.message : window.plan.title, 200));
}

} // namespace

http::Problem problem_of(const Refusal& refusal)
{
    if (refusal.field == "id" && refusal.message == "no such window") return {404, "there is no such window"};
    const bool names_it = refusal.message.find(refusal.field) != std::string::npos;
    return {refusal.field == "state" ? 409U : 422U,
            names_it ? refusal.message : fmt::format("{}: {}", refusal.field, refusal.message),
            {{"field", refusal.field}}};
}

/// Only one at a time changes something and stores it.
class Recorder::Turn {
public:
    explicit Turn(Recorder& recorder) : recorder_(&recorder) { recorder.busy_ = true; }
    ~Turn()
    {
        recorder_->busy_ = false;
        recorder_->turns_.wake_one();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    /// To be called before one is made. A server that ends cancels the coroutines of its requests; what has begun to
    /// be stored must be adopted all the same.
    static asio::awaitable<void> wait(Recorder& recorder)
    {
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        while (recorder.busy_) co_await recorder.turns_.wait(Clock::now() + seconds(60));
    }

private:
    Recorder* recorder_;
};

Recorder::Recorder(asio::io_context& context, const MonitorSettings& settings, History& history, Restored restored,
                   std::function<void(const BoardEvent&)> events, std::function<void()> failed, WindowTable* table)
    : settings_(settings), history_(history), events_(std::move(events)), failed_(std::move(failed)),
      last_alive_(restored.last_alive), board_(board_settings(settings), std::move(restored.maintenance),
                                               std::move(restored.notification), std::random_device{}()),
      checker_(
          context, settings.targets, {.tolerance = settings.jump_tolerance},
          [this](const Finding& finding) { return found(finding); },
          [this](const std::string& backend) { forgotten_.push_back(backend); }),
      table_(table), woken_(context), turns_(context), table_woken_(context),
      tasks_(context,
             [this](const std::string& task, std::exception_ptr error) {
                 try {
                     std::rethrow_exception(std::move(error));
                 } catch (const std::exception& e) {
                     log::critical("{} failed: {}", task, e.what());
                 }
                 if (failed_) std::exchange(failed_, {})();
             }),
      deliveries_(context), ending_(context)
{
    for (RestoredTarget& one : restored.targets) {
        std::string name = one.target.name;
        restored_.emplace(std::move(name), std::move(one));
    }
}

// --- Life ------------------------------------------------------------------------------------------------------------

asio::awaitable<void> Recorder::load()
{
    std::vector<std::string> all;
    for (const Watched& one : checker_.targets()) all.push_back(one.name);
    co_await take_up(std::move(all));
    if (table_ != nullptr) co_await look_at_table(false);
}

void Recorder::start()
{
    next_expiry_ = now();
    const BackendLimits limits;
    forget_restored_at_ = Clock::now() + limits.kept;
    forget_restored(limits.most);
    checker_.start();
    tasks_.spawn("recorder", run());
    if (table_ != nullptr) tasks_.spawn("table of windows", follow_table());
}

void Recorder::stop()
{
    if (std::exchange(stopping_, true)) return;
    checker_.stop();
    courier_.stop();
    woken_.wake_all();
    table_woken_.wake_all();
    ending_.spawn("end of the recorder", end());
}

asio::awaitable<void> Recorder::end()
{
    co_await deliveries_.join();
    woken_.wake_all();
    co_await tasks_.join();
    co_await Turn::wait(*this);
    const Turn turn(*this);
    co_await flush();
}

void Recorder::hurry()
{
    hurry_ = true;
    woken_.wake_all();
}

asio::awaitable<void> Recorder::run()
{
    while (!stopping_) {
        const TimePoint next = Clock::now() + flush_interval;
        try {
            co_await take_up(std::exchange(met_, {}));
        } catch (const StartupError& e) {
            log::error("a new target is not watched yet: {}", e.what()); // it is met again with its next check
        }
        {
            co_await Turn::wait(*this);
            const Turn turn(*this);
            hurry_ = false;
            const bool stored = co_await flush();
            if (now() >= next_expiry_) co_await expire();
            if (Clock::now() >= forget_restored_at_) {
                forget_restored_at_ = TimePoint::max();
                forget_restored(0);
            }
            // With nothing left to be stored of it, which would name a target that the history does not have.
            if (stored) co_await forget();
        }
        if (!hurry_ && !stopping_) co_await woken_.wait(next);
    }
}

// --- Targets ---------------------------------------------------------------------------------------------------------

TargetRules Recorder::rules_of(const Watched& watched) const
{
    const TargetSettings& settings = settings_.targets[watched.settings];
    return {.incidents = {.confirm_down = settings.confirm_down,
                          .confirm_up = settings.confirm_up,
                          .confirm_degraded = settings.confirm_degraded},
            .objective = {static_cast<std::uint32_t>(settings_.objective * 10'000 + 0.5)},
            .component = settings.name,
            .is_self = !watched.is_backend && is_self(settings)};
}

/// Whether a check asks this monitor for its own health.
bool Recorder::is_self(const TargetSettings& target) const
{
    const auto url = target.kind() == CheckKind::http ? parse_http_url(target.url) : std::nullopt;
    return url && url->origin.port == settings_.port && url->target == "/health" &&
           (url->origin.host == settings_.host || http::is_loopback(url->origin.host));
}

const Watched* Recorder::find_watched(std::string_view name) const
{
    const auto& all = checker_.targets();
    const auto found = std::find_if(all.begin(), all.end(), [&](const Watched& one) { return one.name == name; });
    return found == all.end() ? nullptr : &*found;
}

/// Whether the state of the target is in doubt.
bool Recorder::found(const Finding& finding)
{
    const std::string& name = checker_.targets()[finding.target].name;
    const auto place = board_.find(name);
    if (!place) {
        meet(name);
        return false;
    }
    const std::size_t events_before = board_.waiting();
    board_.observe(
        *place,
        {.at = finding.at,
         .state = finding.state,
         .cause = finding.cause,
         .latency = finding.latency ? std::optional(std::chrono::round<microseconds>(*finding.latency)) : std::nullopt,
         .unhealthy = finding.unhealthy,
         .paused = finding.paused},
        now());
    if (const auto set_back = board_.take_set_back())
        log::warn(
            "the clock was set back: it is {} behind the latest check, at whose time checks are recorded until it "
            "has caught up",
            config::format_duration(*set_back));
    if (board_.waiting() != events_before) hurry();
    return board_.in_doubt(*place);
}

/// A backend that its balancer has named for the first time. What was found of it until it is taken up is lost.
void Recorder::meet(const std::string& target)
{
    if (std::find(met_.begin(), met_.end(), target) == met_.end()) met_.push_back(target);
    hurry();
}

asio::awaitable<void> Recorder::take_up(std::vector<std::string> names)
{
    if (names.empty()) co_return;
    const Instant at = now();
    const auto targets = co_await history_.watch(std::move(names), at);
    if (!targets) throw StartupError("cannot use the history: " + targets.error().message());
    for (const Target& target : *targets) {
        TargetPast past;
        const bool known = restored_.find(target.name) != restored_.end();
        if (known) co_await take_up_past(target, past, at);
        const Watched* const watched = find_watched(target.name);
        if (watched == nullptr || board_.find(target.name)) continue; // forgotten meanwhile; or it was met twice
        board_.add(target, rules_of(*watched), std::move(past), last_alive_, at);
        // Only now: a past that cannot be read at this moment is read when the target is met again.
        if (known) restored_.erase(target.name);
    }
}

asio::awaitable<void> Recorder::take_up_past(const Target& target, TargetPast& past, Instant at)
{
    const Span shown{unit_around(at, Unit::day).begin - days(shown_days), at};
    const auto stored_days = co_await history_.rollups(target.id, Unit::day, shown);
    const Span ever{Instant{}, at};
    const auto stored_months = co_await history_.rollups(target.id, Unit::month, ever);
    IncidentQuery query{.target = target.id, .before = {}, .most = most_restored_incidents};
    const auto incidents = co_await history_.incidents(std::move(query));
    if (!stored_days || !stored_months || !incidents)
        throw StartupError(fmt::format("cannot read the past of the target '{}' from the history", target.name));
    const auto restored = restored_.find(target.name);
    if (restored == restored_.end()) co_return;
    past.memory = restored->second.memory;
    past.record = restored->second.record;
    for (const StoredRollup& one : *stored_days) past.days.push_back(one.rollup);
    past.months = *stored_months;
    for (auto one = incidents->rows.rbegin(); one != incidents->rows.rend(); ++one)
        if (one->incident.open() || one->incident.outages.back().end >= shown.begin)
            past.incidents.push_back(one->incident);
}

/// Backends that were known before the start and that their balancers have not named since: of each balancer all, or
/// those with the oldest checks if there are too many to be kept until then.
void Recorder::forget_restored(std::size_t kept)
{
    for (const TargetSettings& balancer : settings_.targets) {
        if (balancer.kind() != CheckKind::balancer) continue;
        std::vector<std::pair<std::optional<Instant>, std::string>> backends;
        for (const auto& [name, restored] : restored_)
            if (name.starts_with(balancer.name + "/")) backends.emplace_back(restored.memory.latest, name);
        std::sort(backends.begin(), backends.end(), std::greater<>());
        for (std::size_t i = kept; i < backends.size(); ++i) forgotten_.push_back(std::move(backends[i].second));
    }
}

/// Takes targets out of the history and off the board. In a turn, behind a flush.
asio::awaitable<void> Recorder::forget()
{
    // One that was named again meanwhile goes on.
    std::erase_if(forgotten_, [this](const std::string& name) { return find_watched(name) != nullptr; });
    if (forgotten_.empty()) co_return;
    std::vector<std::string> names = forgotten_;
    const auto done = co_await history_.forget(std::move(names));
    if (!done) {
        count_failed_commit(done.error());
        co_return;
    }
    for (const std::string& name : std::exchange(forgotten_, {})) {
        restored_.erase(name);
        if (const auto place = board_.find(name)) board_.remove(*place);
    }
}

// --- Storing and telling ---------------------------------------------------------------------------------------------

/// Stores what there is, and sends off what is due. False if it could not be stored. In a turn.
asio::awaitable<bool> Recorder::flush()
{
    const Instant at = now();
    board_.tick(at);
    auto deliveries = board_.take_deliveries(at);
    auto samples = board_.take_samples();
    auto batch = board_.take_batch();
    auto events = board_.take_events();
    // Also without samples: it is how the history knows until when the monitor ran.
    const auto appended = co_await history_.append_samples(std::move(samples), at);
    if (!appended)
        if (const auto left_out = throttle_.admit(samples_dropped, Clock::now()))
            log::warn("samples were not stored: {} ({} in all)", appended.error().message(),
                      history_.dropped_samples());
    bool stored = true;
    if (batch) {
        auto copy = *batch;
        const auto committed = co_await history_.commit(std::move(copy));
        if (!committed) {
            stored = false;
            board_.give_back(*std::move(batch));
            count_failed_commit(committed.error());
            if (board_.waiting() > most_waiting && failed_) std::exchange(failed_, {})();
        }
    }
    // People are told even if it could not be stored: after a crash they may be told again.
    for (Delivery& delivery : deliveries)
        deliveries_.spawn(fmt::format("delivery {}", delivery.id), deliver(std::move(delivery)));
    for (const BoardEvent& event : events) events_(event);
    co_return stored;
}

void Recorder::count_failed_commit(const error_code& error)
{
    ++failed_commits_;
    if (const auto left_out = throttle_.admit(not_committed, Clock::now()))
        log::error("the history cannot be written to: {}; {} steps wait", error.message(), board_.waiting());
}

asio::awaitable<void> Recorder::expire()
{
    const auto expired = co_await history_.expire(now());
    const bool more = expired && *expired == Expired::in_part;
    next_expiry_ = now() + (more ? milliseconds(1000) : expiry_interval);
}

asio::awaitable<void> Recorder::deliver(Delivery delivery)
{
    const auto channel = std::find_if(settings_.channels.begin(), settings_.channels.end(),
                                      [&](const Channel& one) { return one.name == delivery.channel; });
    const Window* const window = delivery.message.kind == Message::Kind::maintenance
                                     ? board_.maintenance().find(delivery.message.window)
                                     : nullptr;
    Naming naming{.site = settings_.title, .url = settings_.url.empty() ? "" : settings_.url + "/status-page"};
    auto words = word(delivery.message, delivery_id(settings_.name, delivery.id), naming, window);
    const auto attempted = co_await attempt(courier_, *channel, settings_.name, delivery.id, std::move(words),
                                            std::chrono::system_clock::now());
    if (attempted.delivered)
        log::info("notification of {} sent to channel {}", to_string(delivery.message.kind), delivery.channel);
    else
        log::warn("notification to channel {} failed (attempt {}): {}", delivery.channel, delivery.attempts,
                  attempted.why);
    // What the end of the daemon broke off is attempted again after the next start.
    if (stopping_ && !attempted.delivered) co_return;
    board_.delivered(delivery.id, attempted, now());
    hurry();
}

// --- The table of windows --------------------------------------------------------------------------------------------

/// Writes what a command prepared. In a turn.
asio::awaitable<std::optional<http::Problem>> Recorder::write_row(Board::Prepared prepared, Who who)
{
    using Written = WindowTable::Written;
    const Window* const before = board_.maintenance().find(prepared.window.id);
    if (before != nullptr && *before == prepared.window) co_return std::nullopt;
    const bool is_new = before == nullptr;
    Window window = std::move(prepared.window);
    // If the history does not get its line of this command, the one of the restoration will name who gave it.
    std::optional<std::string> user = fmt::format("{}, {}", who.user, who.address);
    Written written = Written::done;
    if (is_new)
        written = co_await table_->insert(std::move(window), std::move(user));
    else
        written = co_await table_->update(std::move(window), std::move(user));
    if (written == Written::done) co_return std::nullopt;
    look_again_ = true;
    table_woken_.wake_all();
    switch (written) {
    case Written::done: break;
    case Written::refused: co_return not_in_table(table_->trouble());
    case Written::changed_meanwhile:
        if (is_new) co_return http::Problem{503, "nothing was changed: another window got its number; try again"};
        co_return http::Problem{412, "the window was changed in PostgreSQL meanwhile; get it again"};
    case Written::unknown: break;
    }
    co_return http::Problem{
        503,
        fmt::format(
            "the result is unknown: PostgreSQL did not confirm the change ({}); GET /maintenance shows it after the "
            "connection is back",
            table_->trouble())};
}

asio::awaitable<void> Recorder::follow_table()
{
    Duration pause = first_table_pause;
    while (!stopping_) {
        look_again_ = false;
        const bool reached = co_await look_at_table(true);
        const bool soon = !reached || look_again_;
        const TimePoint next_look = Clock::now() + (soon ? pause : table_interval);
        if (!stopping_) co_await table_woken_.wait(next_look);
        pause = soon ? std::min(pause * 2, table_interval) : first_table_pause;
    }
}

/// Carries out what the rows ask for. False if they could not be read. Before the start there is nothing yet that time
/// has brought: the rows come first.
asio::awaitable<bool> Recorder::look_at_table(bool running)
{
    const std::uint64_t writes = table_->writes();
    const auto rows = co_await table_->read();
    if (!rows) co_return false;
    co_await Turn::wait(*this);
    const Turn turn(*this);
    if (table_->writes() != writes) { // a command was quicker than the answer
        look_again_ = true;
        co_return true;
    }
    if (running) {
        const bool stored = co_await flush();
        if (!stored) co_return true;
    }
    // Rows that are left alone would be compared with every series of windows each time.
    if (followed_ == *rows && board_.maintenance().memory() == followed_by_) co_return true;
    const auto steps = board_.follow(*rows, now());
    bool going_on = true;
    for (const RowStep& step : steps) {
        if (going_on) going_on = co_await carry_out(step, *rows);
    }
    left_alone_ = std::exchange(still_alone_, {});
    followed_.reset();
    if (going_on && !look_again_) followed_ = *rows;
    followed_by_ = board_.maintenance().memory();
    co_return true;
}

/// False if the others had better wait.
asio::awaitable<bool> Recorder::carry_out(const RowStep& step, const WindowRows& rows)
{
    using Kind = RowStep::Kind;
    using Written = WindowTable::Written;
    const WindowRow* const row = step.row == RowStep::no_row ? nullptr : &rows.rows[step.row];
    Accepted<Board::Prepared> prepared = Refusal{};
    std::string_view action;
    // Kept in the row until the history has its line, which may take several looks.
    std::optional<std::string> user;
    if (!step.user.empty()) user = step.user;
    switch (step.kind) {
    case Kind::refuse: leave_alone(*row, step.refusal); co_return true;
    case Kind::insert: {
        Window window = *board_.maintenance().find(step.window);
        const Written written = co_await table_->insert(std::move(window), std::move(user));
        co_return written == Written::done;
    }
    case Kind::write: {
        Window window = *board_.maintenance().find(step.window);
        const Written written = co_await table_->update(*row, std::move(window), true, std::move(user));
        co_return written == Written::done || written == Written::changed_meanwhile;
    }
    case Kind::create:
        prepared = board_.prepare_window(step.plan, step.at);
        action = "window.create";
        break;
    case Kind::change:
        prepared = board_.prepare_change(step.window, step.plan, step.at);
        action = "window.change";
        break;
    case Kind::cancel:
        prepared = board_.prepare_cancellation(step.window, step.at);
        action = "window.cancel";
        break;
    case Kind::restore:
        prepared = board_.prepare_restoration(step.restored, step.at);
        action = "window.restore";
        break;
    }
    if (!prepared) {
        if (row != nullptr) leave_alone(*row, prepared.error());
        co_return true;
    }
    if (row != nullptr && step.kind != Kind::restore) {
        const bool whole = step.kind == Kind::cancel || !says(*row, prepared->window.plan);
        Window window = prepared->window;
        const Written written = co_await table_->update(*row, std::move(window), whole, std::move(user));
        if (written == Written::changed_meanwhile) look_again_ = true;
        if (written != Written::done) co_return written == Written::changed_meanwhile;
    }
    Who who{.user = table_user, .address = {}};
    std::string asked_by = step.user;
    const auto stored = co_await store(*std::move(prepared), action, std::move(who), std::move(asked_by));
    look_again_ = true; // what it is by now is written into its row
    co_return stored.has_value();
}

/// Once for a row and a reason.
void Recorder::leave_alone(const WindowRow& row, const Refusal& refusal)
{
    const auto known = left_alone_.find(row.id);
    if (known == left_alone_.end() || known->second != refusal.message)
        log::warn("row {} of system_maintenance is ignored: {}", row.id, refusal.message);
    still_alone_[row.id] = refusal.message;
}

// --- Commands --------------------------------------------------------------------------------------------------------

std::optional<http::Problem> Recorder::wrong_version(std::uint64_t id, std::uint32_t version) const
{
    const Window* const window = board_.maintenance().find(id);
    if (window == nullptr) return http::Problem{404, "there is no such window"};
    if (window->version != version) return http::Problem{412, "the window was changed meanwhile; get it again"};
    return std::nullopt;
}

asio::awaitable<Recorder::Answer<Window>> Recorder::command(Prepare prepare, std::string_view action, Who who)
{
    if (table_ != nullptr && !table_->up()) {
        ++refused_;
        co_return not_in_table(table_->trouble());
    }
    // What time has brought until now is stored first: the command is about the state that follows from it.
    const bool stored = co_await flush();
    if (!stored) {
        ++refused_;
        co_return not_stored(errc::unavailable);
    }
    auto prepared = prepare(now());
    if (!prepared) co_return problem_of(prepared.error());
    if (table_ != nullptr) {
        auto problem = co_await write_row(*prepared, who);
        if (problem) {
            ++refused_;
            co_return *std::move(problem);
        }
    }
    std::string asked_by;
    auto answer = co_await store(*std::move(prepared), action, std::move(who), std::move(asked_by));
    if (!answer) ++refused_;
    co_return answer;
}

/// Stores what was prepared in the history, and only then makes it so. What is in the table and cannot be stored here
/// is taken up from there.
asio::awaitable<Recorder::Answer<Window>> Recorder::store(Board::Prepared prepared, std::string_view action, Who who,
                                                          std::string asked_by)
{
    const Instant at = now();
    std::string detail = in_short(prepared.window);
    if (!asked_by.empty())
        detail += fmt::format(" (its row says: asked for by {})", shortened(printable(asked_by), 200));
    Batch batch;
    batch.maintenance = prepared.after;
    batch.audit.push_back({.at = at,
                           .user = std::move(who.user),
                           .address = std::move(who.address),
                           .action = std::string(action),
                           .target = fmt::format("window {}", prepared.window.id),
                           .detail = std::move(detail)});
    const auto committed = co_await history_.commit(std::move(batch));
    if (!committed) {
        count_failed_commit(committed.error());
        if (table_ == nullptr) co_return not_stored(committed.error());
        look_again_ = true;
        co_return http::Problem{503, fmt::format("it is stored in PostgreSQL, and takes effect as soon as the history "
                                                 "can be written to ({})",
                                                 committed.error().message())};
    }
    Window window = prepared.window;
    board_.adopt(std::move(prepared), at);
    hurry();
    co_return window;
}

asio::awaitable<Recorder::Answer<Window>> Recorder::announce(WindowPlan plan, Who who)
{
    co_await Turn::wait(*this);
    const Turn turn(*this);
    Prepare prepare = [&](Instant at) { return board_.prepare_window(std::move(plan), at); };
    co_return co_await command(std::move(prepare), "window.create", std::move(who));
}

asio::awaitable<Recorder::Answer<Window>> Recorder::change(std::uint64_t id, std::uint32_t version, WindowPlan plan,
                                                           Who who)
{
    co_await Turn::wait(*this);
    const Turn turn(*this);
    if (auto wrong = wrong_version(id, version)) co_return *std::move(wrong);
    Prepare prepare = [&, id](Instant at) { return board_.prepare_change(id, std::move(plan), at); };
    co_return co_await command(std::move(prepare), "window.change", std::move(who));
}

asio::awaitable<Recorder::Answer<Window>> Recorder::cancel(std::uint64_t id, std::uint32_t version, Who who)
{
    co_await Turn::wait(*this);
    const Turn turn(*this);
    if (auto wrong = wrong_version(id, version)) co_return *std::move(wrong);
    Prepare prepare = [&, id](Instant at) { return board_.prepare_cancellation(id, at); };
    co_return co_await command(std::move(prepare), "window.cancel", std::move(who));
}

asio::awaitable<Recorder::Answer<void>> Recorder::post(std::string target, IncidentStatus status, std::string message,
                                                       Who who)
{
    co_await Turn::wait(*this);
    const Turn turn(*this);
    const bool stored = co_await flush();
    if (!stored) {
        ++refused_;
        co_return not_stored(errc::unavailable);
    }
    const auto place = board_.find(target);
    if (!place) co_return http::Problem{404, "there is no such target", {{"field", "target"}}};
    const Instant at = now();
    auto detail = fmt::format("{}: {}", to_string(status), shortened(message, 200));
    IncidentUpdate update{at, status, std::move(message), who.user};
    auto prepared = board_.prepare_update(*place, std::move(update));
    if (!prepared) co_return problem_of(prepared.error());
    // What the checks have changed meanwhile goes before it: the memory with the update builds on that.
    auto pending = board_.take_batch().value_or(Batch{});
    auto batch = pending;
    batch.steps.push_back(prepared->step);
    batch.audit.push_back({.at = at,
                           .user = std::move(who.user),
                           .address = std::move(who.address),
                           .action = "incident.update",
                           .target = std::move(target),
                           .detail = std::move(detail)});
    const auto committed = co_await history_.commit(std::move(batch));
    if (!committed) {
        board_.give_back(std::move(pending));
        count_failed_commit(committed.error());
        ++refused_;
        co_return not_stored(committed.error());
    }
    board_.adopt(*std::move(prepared));
    hurry();
    co_return Answer<void>();
}

asio::awaitable<Recorder::Answer<void>> Recorder::remember_closed(std::string balancer,
                                                                  std::vector<ClosedBackend> closed)
{
    co_await Turn::wait(*this);
    const Turn turn(*this);
    // As for a command: what tick() brought is stored with the notifications that it became, not without them.
    const bool stored = co_await flush();
    if (!stored) co_return not_stored(errc::unavailable);
    Batch batch;
    batch.maintenance = board_.prepare_closed(balancer, closed);
    const auto committed = co_await history_.commit(std::move(batch));
    if (!committed) co_return not_stored(committed.error());
    board_.adopt_closed(balancer, closed);
    co_return Answer<void>();
}

asio::awaitable<Recorder::Answer<void>> Recorder::audit(AuditEntry entry)
{
    Batch batch;
    batch.audit.push_back(std::move(entry));
    const auto committed = co_await history_.commit(std::move(batch));
    if (!committed) co_return not_stored(committed.error());
    co_return Answer<void>();
}

} // namespace hotspare::monitor

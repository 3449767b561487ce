#include "common/storage/postgres.hpp"

#include "common/config.hpp"
#include "common/http/address.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"

#include <boost/asio/this_coro.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fcntl.h>
#include <libpq-fe.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

namespace hotspare::storage::postgres {
namespace {

/// Between two attempts to connect: a server that starts is met soon, one that is away is not hammered.
constexpr Duration connect_pause = milliseconds(100);
constexpr std::size_t most_waiting = 8'192;

/// libpq's messages end with a line break and may have several lines.
std::string one_line(std::string_view text)
{
    std::string out(text.substr(0, text.find_last_not_of(" \n\t") + 1));
    std::ranges::replace(out, '\n', ' ');
    std::ranges::replace(out, '\t', ' ');
    return out;
}

/// What libpq says of a URL, without the part of it that it quotes in the end, in which there may be a password.
std::string without_quotation(std::string_view problem)
{
    return one_line(problem.substr(0, problem.find(": \"")));
}

bool is_class(std::string_view state, std::string_view prefix)
{
    return state.starts_with(prefix);
}

constexpr auto cancel_timeout_ms = "5000";

/// The statement that sets them to the end of the transaction.
std::string local_settings(const Session& session)
{
    std::vector<std::string> calls;
    for (const auto& [name, value] : session.settings)
        calls.push_back(fmt::format("set_config('{}', '{}', true)", name, value));
    return fmt::format("SELECT {}", fmt::join(calls, ", "));
}

using ConnInfo = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

std::string value_of(const ConnInfo& info, std::string_view keyword)
{
    for (const auto* option = info.get(); option->keyword != nullptr; ++option)
        if (option->keyword == keyword && option->val != nullptr) return option->val;
    return {};
}

} // namespace

// --- Where -----------------------------------------------------------------------------------------------------------

bool is_url(std::string_view text)
{
    return text.starts_with("postgres://") || text.starts_with("postgresql://");
}

Target resolve(const std::string& url, const std::string& source)
{
    char* problem = nullptr;
    const ConnInfo info(PQconninfoParse(url.c_str(), &problem), &PQconninfoFree);
    const std::unique_ptr<char, decltype(&PQfreemem)> owned(problem, &PQfreemem);
    if (!info)
        throw UsageError(fmt::format("{}: {}, expected postgres://USER@HOST:PORT/DATABASE", source,
                                     without_quotation(problem == nullptr ? "out of memory" : problem)));
    const auto host = value_of(info, "host");
    Target target{.url = url, .address = value_of(info, "hostaddr"), .shown = {}};
    const bool unix_socket = host.empty() || host.starts_with('/');
    if (host.find(',') != host.npos || target.address.find(',') != target.address.npos)
        throw UsageError(
            fmt::format("{}: several hosts, expected one (an address that moves with the primary)", source));
    // libpq resolves names while it connects, and blocks meanwhile.
    if (target.address.empty() && !unix_socket)
        target.address = http::resolve(host, 5432, source).address().to_string();
    const auto user = value_of(info, "user");
    const auto port = value_of(info, "port");
    const auto number = config::parse_unsigned(port, 65535);
    // libpq looks when it connects. Not shown: of a password with an unescaped '/' libpq takes a part for the port.
    if (!port.empty() && (!number || *number == 0))
        throw UsageError(fmt::format("{}: the port is none, expected 1 to 65535, and %XX for the special characters of "
                                     "a password",
                                     source));
    target.shown = fmt::format("postgres://{}{}{}{}/{}", user, user.empty() ? "" : "@", host,
                               port.empty() ? "" : ":" + port, value_of(info, "dbname"));
    return target;
}

// --- Rows ------------------------------------------------------------------------------------------------------------

void Rows::Clear::operator()(pg_result* result) const noexcept
{
    PQclear(result);
}

std::size_t Rows::size() const noexcept
{
    return static_cast<std::size_t>(PQntuples(result_.get()));
}

std::string_view Rows::text(std::size_t row, int column) const
{
    const int index = static_cast<int>(row);
    return {PQgetvalue(result_.get(), index, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), index, column))};
}

std::int64_t Rows::integer(std::size_t row, int column) const
{
    const auto digits = text(row, column);
    std::int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

bool Rows::is_null(std::size_t row, int column) const
{
    return PQgetisnull(result_.get(), static_cast<int>(row), column) != 0;
}

std::int64_t Rows::affected() const
{
    return std::strtoll(PQcmdTuples(result_.get()), nullptr, 10);
}

// --- Connection ------------------------------------------------------------------------------------------------------

void Connection::Finish::operator()(pg_conn* connection) const noexcept
{
    PQfinish(connection);
}

void Connection::close() noexcept
{
    if (busy_ && canceller_ != nullptr && connection_ && PQstatus(connection_.get()) == CONNECTION_OK)
        canceller_->cancel(connection_.release());
    error_code ignored;
    socket_.close(ignored);
    connection_.reset();
    prepared_.clear();
    busy_ = false;
}

/// The event loop watches a duplicate of libpq's socket. libpq closes its own at each step of connecting, and whenever
/// it finds the connection lost; before the event loop releases that number, it could belong to another descriptor.
bool Connection::watch_socket()
{
    error_code error;
    socket_.close(error);
    const int copy = ::fcntl(PQsocket(connection_.get()), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        message_ = error_code(errno, boost::system::system_category()).message();
        return false;
    }
    socket_.assign(copy, error);
    if (error) {
        ::close(copy);
        message_ = error.message();
    }
    return !error;
}

asio::awaitable<bool> Connection::wait(asio::posix::stream_descriptor::wait_type what)
{
    const auto [error] = co_await socket_.async_wait(what, no_throw);
    if (deadline_.passed()) {
        message_ = "it did not answer in time";
        co_return false;
    }
    if (error) message_ = error.message();
    co_return !error;
}

asio::awaitable<result<void>> Connection::open(const Target& target, const Session& session, TimePoint until)
{
    close();
    deadline_.arm(std::max<Duration>(until - Clock::now(), Duration::zero()));
    bool done = co_await connect(target);
    if (done) done = co_await begin(session);
    deadline_.disarm();
    if (done) co_return result<void>();
    close();
    co_return error_code(errc::unavailable);
}

asio::awaitable<bool> Connection::begin(const Session& session)
{
    std::string server_process;
    bool done = co_await query("SELECT pg_backend_pid()", &server_process);
    if (!done) co_return false;
    pooled_ = server_process != std::to_string(PQbackendPID(connection_.get()));
    std::vector<std::string> steps;
    if (pooled_) {
        settings_ = local_settings(session);
        // A BEGIN by itself, so that a pooler that gives each statement another server says so now.
        steps = {"BEGIN", fmt::format("{}; {}", settings_, session.setup), "COMMIT"};
    } else {
        std::string sql;
        for (const auto& [name, value] : session.settings) sql += fmt::format("SET {} = '{}'; ", name, value);
        steps = {sql + session.setup};
    }
    for (auto& step : steps) {
        done = co_await query(std::move(step), nullptr);
        if (!done) co_return false;
    }
    co_return PQenterPipelineMode(connection_.get()) == 1;
}

/// Runs statements outside of the pipeline mode. `value` (may be null) becomes the first value of their last row.
asio::awaitable<bool> Connection::query(std::string sql, std::string* value)
{
    busy_ = true;
    bool done = PQsendQuery(connection_.get(), sql.c_str()) == 1;
    if (done) done = co_await flush();
    while (done) {
        const auto raw = co_await next_result();
        if (!raw) co_return false;
        if (*raw == nullptr) break;
        const Rows rows(*raw);
        if (PQresultStatus(*raw) == PGRES_FATAL_ERROR) {
            message_ = one_line(PQresultErrorMessage(*raw));
            busy_ = false;
            co_return false;
        }
        if (value != nullptr && rows.size() > 0) *value = rows.text(0, 0);
    }
    if (done) busy_ = false;
    co_return done;
}

asio::awaitable<bool> Connection::connect(const Target& target)
{
    // The URL (`dbname`, as it is expanded) wins over what comes before it, and what comes after it wins over the URL.
    // tcp_user_timeout bounds a cancel request that no answer comes to.
    std::vector<const char*> names{"target_session_attrs", "tcp_user_timeout", "dbname", "client_encoding",
                                   "application_name"};
    std::vector<const char*> values{"read-write", cancel_timeout_ms, target.url.c_str(), "UTF8", "hotspare"};
    if (!target.address.empty()) {
        names.push_back("hostaddr");
        values.push_back(target.address.c_str());
    }
    names.push_back(nullptr);
    values.push_back(nullptr);
    connection_.reset(PQconnectStartParams(names.data(), values.data(), 1));
    if (!connection_) {
        message_ = "out of memory";
        co_return false;
    }
    auto next = PQstatus(connection_.get()) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        if (!watch_socket()) co_return false; // another one, perhaps with the same number
        const bool ready = co_await wait(next == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                                       : asio::posix::stream_descriptor::wait_write);
        if (!ready) co_return false;
        next = PQconnectPoll(connection_.get());
    }
    if (next != PGRES_POLLING_OK) {
        message_ = one_line(PQerrorMessage(connection_.get()));
        co_return false;
    }
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    PQsetnonblocking(connection_.get(), 1);
    co_return watch_socket();
}

/// Writes what libpq holds back. It does not read meanwhile: what is sent in one go (below the bound of an HTTP body)
/// the server takes in before its own answers, far smaller, could fill a socket. If not, there is the deadline.
asio::awaitable<bool> Connection::flush()
{
    while (true) {
        const int left = PQflush(connection_.get());
        if (left == 0) co_return true;
        if (left < 0) {
            message_ = one_line(PQerrorMessage(connection_.get()));
            co_return false;
        }
        const bool ready = co_await wait(asio::posix::stream_descriptor::wait_write);
        if (!ready) co_return false;
    }
}

/// The next result, which the caller owns; null at the end of one statement's results. Nothing: the connection is lost.
asio::awaitable<std::optional<pg_result*>> Connection::next_result()
{
    while (PQisBusy(connection_.get()) != 0) {
        const bool ready = co_await wait(asio::posix::stream_descriptor::wait_read);
        if (!ready) co_return std::nullopt;
        if (PQconsumeInput(connection_.get()) == 0) {
            message_ = one_line(PQerrorMessage(connection_.get()));
            co_return std::nullopt;
        }
    }
    co_return PQgetResult(connection_.get());
}

asio::awaitable<result<std::vector<Rows>>> Connection::run(std::vector<Command> commands, TimePoint until)
{
    if (!connection_) co_return error_code(errc::unavailable);
    deadline_.arm(std::max<Duration>(until - Clock::now(), Duration::zero()));
    busy_ = true; // if this coroutine is destroyed before it ends, the connection is of no use any more
    std::vector<Sent> sent;
    result<std::vector<Rows>> out = error_code(errc::unavailable);
    bool done = send(commands, sent);
    if (done) done = co_await flush();
    if (done)
        out = co_await receive(std::move(sent));
    else
        close();
    deadline_.disarm();
    co_return out;
}

/// Queues the commands. Behind a pooler the first transaction of a session is preceded by its settings.
bool Connection::send(const std::vector<Command>& commands, std::vector<Sent>& sent)
{
    bool sets = pooled_ && PQtransactionStatus(connection_.get()) == PQTRANS_IDLE;
    for (const auto& command : commands) {
        // A BEGIN that names an isolation level must come before all other statements.
        const bool begins = command.sql.starts_with("BEGIN");
        if (sets && !begins && !send_settings(sent)) return false;
        if (!begins) sets = false;
        if (!send_one(command, sent)) return false;
    }
    return PQpipelineSync(connection_.get()) == 1;
}

bool Connection::send_settings(std::vector<Sent>& sent)
{
    sent.push_back({settings_, true});
    return PQsendQueryParams(connection_.get(), settings_.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 1;
}

/// Before its first use with its preparation; behind a pooler with none, as the next server would not know of it.
bool Connection::send_one(const Command& command, std::vector<Sent>& sent)
{
    const auto& [sql, parameters] = command;
    const auto count = static_cast<int>(parameters.size());
    std::vector<const char*> values;
    for (const auto& parameter : parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
    if (pooled_) {
        sent.push_back({sql, false});
        return PQsendQueryParams(connection_.get(), std::string(sql).c_str(), count, nullptr, values.data(), nullptr,
                                 nullptr, 0) == 1;
    }
    auto& name = prepared_[sql];
    if (name.empty()) {
        name = fmt::format("s{}", ++names_);
        if (PQsendPrepare(connection_.get(), name.c_str(), std::string(sql).c_str(), count, nullptr) != 1) return false;
        sent.push_back({sql, true});
    }
    sent.push_back({sql, false});
    return PQsendQueryPrepared(connection_.get(), name.c_str(), count, values.data(), nullptr, nullptr, 0) == 1;
}

asio::awaitable<result<std::vector<Rows>>> Connection::receive(std::vector<Sent> sent)
{
    std::vector<Rows> out;
    error_code failure;
    // Each statement has one result and the end of its results; then comes that of the whole.
    for (const auto& [sql, preparation] : sent) {
        const auto raw = co_await next_result();
        if (!raw) co_return lost();
        Rows rows(*raw);
        const auto status = PQresultStatus(*raw);
        if (status == PGRES_FATAL_ERROR) {
            failure = judge(*raw); // those that follow are not run, and say so
            if (!connection_) co_return failure;
        }
        const bool done = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
        if (done && !preparation) out.push_back(std::move(rows));
        if (!done && preparation) prepared_.erase(sql);
        const auto nothing = co_await next_result();
        if (!nothing) co_return lost();
        if (const Rows end(*nothing); *nothing != nullptr) co_return lost();
    }
    const auto raw = co_await next_result();
    if (!raw) co_return lost();
    const Rows whole(*raw);
    // Only now has a transaction without a COMMIT of its own been committed.
    if (PQresultStatus(*raw) != PGRES_PIPELINE_SYNC) {
        judge(*raw);
        co_return lost();
    }
    busy_ = false;
    if (failure) co_return failure;
    co_return out;
}

/// What a failed statement means; https://www.postgresql.org/docs/15/errcodes-appendix.html
error_code Connection::judge(const pg_result* result)
{
    message_ = one_line(PQresultErrorMessage(result));
    const char* const field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string_view state = field == nullptr ? "08000" : field;
    if (state == "23505") return errc::conflict;
    // The server ends, starts, or has become a standby: this connection leads nowhere (open() refuses a standby).
    if (is_class(state, "57P") || is_class(state, "08") || state == "25006") return lost();
    // Deadlock, lock or statement that took too long.
    if (is_class(state, "40") || is_class(state, "55") || state == "57014") return errc::unavailable;
    return state == "53100" ? errc::storage_full : errc::storage;
}

error_code Connection::lost()
{
    close();
    return errc::unavailable;
}

bool Connection::is_idle() noexcept
{
    if (!connection_ || busy_ || PQtransactionStatus(connection_.get()) != PQTRANS_IDLE) return false;
    // Nothing to read is as it should be: a server that ends says so, or just closes.
    char byte = 0;
    return ::recv(PQsocket(connection_.get()), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

// --- Pool ------------------------------------------------------------------------------------------------------------

/// One of the connections that may exist: given back unless it is kept.
class Pool::Slot {
public:
    explicit Slot(Pool& pool) : pool_(pool) { ++pool_.open_; }
    ~Slot()
    {
        if (kept_) return;
        --pool_.open_;
        pool_.waiting_.wake_one();
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    void keep() noexcept { kept_ = true; }

private:
    Pool& pool_;
    bool kept_ = false;
};

Pool::Pool(asio::io_context& context, PoolSettings settings)
    : context_(context), settings_(std::move(settings)), waiting_(context)
{
}

Pool::Lent::~Lent()
{
    if (connection_) pool_->give_back(std::move(connection_));
}

std::unique_ptr<Connection> Pool::take_idle()
{
    while (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        if (connection->is_idle()) return connection;
        --open_;
    }
    return nullptr;
}

void Pool::give_back(std::unique_ptr<Connection> connection)
{
    if (connection->is_idle()) {
        idle_.push_back(std::move(connection));
    } else {
        // The other connections may be lost too, and a request on one would show that only when it times out.
        open_ -= 1 + idle_.size();
        idle_.clear();
    }
    waiting_.wake_one();
}

asio::awaitable<result<Pool::Lent>> Pool::borrow(TimePoint until)
{
    const auto begun = Clock::now();
    while (true) {
        if (auto connection = take_idle()) {
            note(std::nullopt); // what kept another one from being opened does not matter to this one
            co_return Lent(*this, std::move(connection));
        }
        const auto now = Clock::now();
        if (now >= until || waiting_.size() >= most_waiting) co_return error_code(errc::unavailable);
        if (open_ >= settings_.connections) {
            co_await waiting_.wait(until);
            continue;
        }
        if (now < retry_at_) {
            co_await waiting_.wait(std::min(until, retry_at_));
            continue;
        }
        Slot slot(*this);
        auto connection = std::make_unique<Connection>(context_.get_executor(), &canceller_);
        const auto opened = co_await connection->open(settings_.target, settings_.session, until);
        if (opened) {
            slot.keep();
            if (connection->pooled() && !std::exchange(pooler_known_, true))
                log::info("{} is a connection pooler: settings go with each transaction, statements are not prepared",
                          settings_.target.shown);
            note(std::nullopt);
            co_return Lent(*this, std::move(connection));
        }
        // An attempt that began late in the caller's time does not disprove the message of an earlier attempt.
        const bool cut_short = Clock::now() >= until && until - now < (until - begun) / 2;
        if (!cut_short || !trouble_) note(connection->message());
        retry_at_ = Clock::now() + connect_pause;
    }
}

void Pool::note(std::optional<std::string> trouble)
{
    if (trouble && trouble != trouble_) log::warn("cannot use {}: {}; retrying", settings_.target.shown, *trouble);
    if (!trouble && trouble_) log::info("{} can be used again", settings_.target.shown);
    trouble_ = std::move(trouble);
}

} // namespace hotspare::storage::postgres

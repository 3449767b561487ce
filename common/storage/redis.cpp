#include "common/storage/redis.hpp"

#include "common/config.hpp"
#include "common/http/address.hpp"
#include "common/http/message.hpp"
#include "common/no_throw.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::storage::redis {
namespace {

using tcp = asio::ip::tcp;

constexpr std::uint16_t default_port = 6379;
constexpr std::size_t input_size = 64 * 1024;
constexpr std::string_view scheme = "redis://";
constexpr std::size_t longest_prefix = 64;

bool is_prefix(std::string_view text)
{
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '.' ||
               c == '_' || c == '-';
    };
    return !text.empty() && text.size() <= longest_prefix && std::ranges::all_of(text, fits);
}

struct Parts {
    config::HostPort address;
    std::string user, password;
    std::string_view encoded_user; ///< part of the URL
    unsigned database = 0;
    std::string_view prefix; ///< part of the URL
    std::string passfile;
};

config::Parsed<Parts> parse(std::string_view url)
{
    const auto refuse = [&] {
        return config::not_valid(config::without_password(url),
                                 "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?prefix=PREFIX&passfile=FILE] without "
                                 "TLS, %XX for special characters of USER, PASSWORD and FILE; PREFIX of letters, "
                                 "digits and :._-");
    };
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; };
    if (!url.starts_with(scheme) || std::ranges::any_of(url, is_control)) return refuse();
    Parts parts;
    auto rest = url.substr(scheme.size());

    if (const auto at = rest.rfind('@'); at != rest.npos) {
        const auto user_info = rest.substr(0, at);
        rest.remove_prefix(at + 1);
        const auto colon = user_info.find(':');
        // A '/' there is most likely a password that should have been escaped, and would move where the host begins.
        if (colon == user_info.npos || user_info.find_first_of("/@?#") != user_info.npos) return refuse();
        parts.encoded_user = user_info.substr(0, colon);
        const auto user = http::percent_decode(parts.encoded_user);
        const auto password = http::percent_decode(user_info.substr(colon + 1));
        if (!user || !password || password->empty()) return refuse();
        parts.user = *user;
        parts.password = *password;
    }

    if (const auto question = rest.find('?'); question != rest.npos) {
        auto parameters = rest.substr(question + 1);
        rest = rest.substr(0, question);
        for (bool last = false; !last;) {
            const auto end = parameters.find('&');
            const auto parameter = parameters.substr(0, end);
            last = end == parameters.npos;
            if (!last) parameters.remove_prefix(end + 1);
            const auto equals = parameter.find('=');
            if (equals == parameter.npos) return refuse();
            const auto name = parameter.substr(0, equals);
            const auto value = parameter.substr(equals + 1);
            if (name == "prefix" && parts.prefix.empty() && is_prefix(value)) {
                parts.prefix = value;
            } else if (name == "passfile" && parts.passfile.empty() && !value.empty()) {
                const auto file = http::percent_decode(value);
                if (!file) return refuse();
                parts.passfile = *file;
            } else {
                return refuse();
            }
        }
    }

    if (const auto slash = rest.find('/'); slash != rest.npos) {
        const auto database = rest.substr(slash + 1);
        rest = rest.substr(0, slash);
        if (!database.empty()) {
            const auto number = config::parse_unsigned(database, std::numeric_limits<std::int32_t>::max());
            if (!number) return refuse();
            parts.database = static_cast<unsigned>(*number);
        }
    }

    // The last colon of an IPv6 address is inside its brackets.
    const auto colon = rest.rfind(':');
    const auto bracket = rest.rfind(']');
    const bool has_port = colon != rest.npos && (bracket == rest.npos || colon > bracket);
    const auto address =
        config::parse_host_port(has_port ? std::string(rest) : fmt::format("{}:{}", rest, default_port));
    if (!address || address->port == 0) return refuse();
    parts.address = *address;
    return parts;
}

std::string show(const Parts& parts)
{
    return fmt::format("{}{}{}{}/{}{}{}", scheme, parts.encoded_user, parts.encoded_user.empty() ? "" : "@",
                       config::format_host_port(parts.address), parts.database,
                       parts.prefix.empty() ? "" : "?prefix=", parts.prefix);
}

/// The password in the first line of libpq's password file; empty if there is none.
std::string read_passfile(const std::string& path)
{
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    // hostname:port:database:username:password, in which a backslash takes the meaning off the next character.
    std::string password;
    int fields = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == ':' && fields < 4) {
            ++fields;
            continue;
        }
        if (line[i] == '\\' && i + 1 < line.size()) ++i;
        if (fields == 4) password += line[i];
    }
    return password;
}

/// What an operation's error means to the caller.
error_code classify(error_code error, const Deadline& deadline, bool cancelled)
{
    if (cancelled) return errc::cancelled;
    if (deadline.passed()) return errc::timed_out;
    if (error == asio::error::eof) return errc::closed_early;
    // A peer that is gone may show as a broken pipe when we are still writing: the same event.
    if (error == asio::error::broken_pipe) return asio::error::connection_reset;
    // Neither our deadline nor our caller, so it was close().
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) return errc::cancelled;
    return error;
}

} // namespace

Target resolve(const std::string& url, const std::string& source)
{
    const auto parts = parse(url);
    if (!parts) throw UsageError(fmt::format("{}: {}", source, parts.error().message));
    Target target;
    target.endpoint = http::resolve(parts->address.host, parts->address.port, source);
    target.user = parts->user;
    target.password = parts->password;
    target.passfile = parts->passfile;
    target.database = parts->database;
    target.prefix = parts->prefix;
    target.shown = show(*parts);
    return target;
}

bool is_url(const std::string& url)
{
    return parse(url).has_value();
}

Connection::Connection(asio::any_io_executor executor, Target target)
    : target_(std::move(target)), socket_(std::move(executor)), deadline_(socket_), input_(input_size)
{
}

void Connection::close() noexcept
{
    open_ = false;
    error_code ignored;
    socket_.close(ignored);
}

/// Nothing to read and not closed: as far as can be told without sending something, the server still listens.
bool Connection::is_quiet() noexcept
{
    error_code error;
    char byte = 0;
    socket_.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, error);
    return error == asio::error::would_block;
}

asio::awaitable<result<std::vector<Reply>>> Connection::run(std::vector<Command> commands, Duration deadline)
{
    if (commands.empty()) co_return std::vector<Reply>();
    auto request = encode(commands);
    if (!request) co_return request.error();

    // However this ends, a connection whose replies were not all read must not be used again.
    struct Guard {
        explicit Guard(Connection& c) : connection(c) {}
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        ~Guard()
        {
            connection.deadline_.disarm();
            if (!in_step) connection.close();
        }
        Connection& connection;
        bool in_step = false;
    };
    Guard guard(*this);

    const auto cancellation = co_await asio::this_coro::cancellation_state;
    deadline_.arm(deadline);
    auto replies = co_await connect_and_exchange(std::move(*request), commands.size());
    if (!replies)
        co_return classify(replies.error(), deadline_, cancellation.cancelled() != asio::cancellation_type::none);
    guard.in_step = true;
    co_return replies;
}

asio::awaitable<result<std::vector<Reply>>> Connection::connect_and_exchange(std::string request, std::size_t replies)
{
    // A server ends idle connections when it restarts (or after its `timeout`): better noticed before something is sent
    // than after, when it is unknown whether it was carried out.
    if (!open_ || !is_quiet()) {
        const auto error = co_await connect();
        if (error) co_return error;
    }
    co_return co_await exchange(std::move(request), replies);
}

asio::awaitable<error_code> Connection::connect()
{
    close();
    last_refusal_.clear();
    const auto [error] = co_await socket_.async_connect(target_.endpoint, no_throw);
    if (error) co_return error;
    error_code failed;
    // Where no process listens on a port of this machine, the kernel may choose that very port for our end: then we are
    // connected with ourselves, would read our own commands as replies, and keep the server from its port.
    if (socket_.local_endpoint(failed) == socket_.remote_endpoint(failed) || failed)
        co_return failed ? failed : error_code(asio::error::connection_refused);
    socket_.set_option(tcp::no_delay(true), failed);
    socket_.non_blocking(true, failed);
    if (failed) co_return failed;
    reader_ = std::make_unique<ReplyReader>();

    std::vector<Command> greeting;
    const auto password = target_.password.empty() ? read_passfile(target_.passfile) : target_.password;
    if (!password.empty()) {
        auto& auth = greeting.emplace_back(Command{"AUTH"});
        if (!target_.user.empty()) auth.push_back(target_.user);
        auth.push_back(password);
    }
    if (target_.database != 0) greeting.push_back(Command{"SELECT", std::to_string(target_.database)});
    if (!greeting.empty()) {
        auto request = encode(greeting);
        if (!request) co_return request.error();
        const auto replies = co_await exchange(std::move(*request), greeting.size());
        if (!replies) co_return replies.error();
        const auto refusal = std::ranges::find_if(*replies, &Reply::is_error);
        if (refusal != replies->end()) {
            last_refusal_ = refusal->text;
            co_return errc::unavailable;
        }
    }
    open_ = true;
    co_return error_code();
}

/// The error is as it came, not yet classified.
asio::awaitable<result<std::vector<Reply>>> Connection::exchange(std::string request, std::size_t replies)
{
    reader_->begin();
    const auto [write_error, written] = co_await asio::async_write(socket_, asio::buffer(request), no_throw);
    if (write_error) co_return write_error;
    std::vector<Reply> complete;
    complete.reserve(replies);
    while (true) {
        auto reply = reader_->next();
        if (!reply) co_return reply.error();
        if (*reply) {
            complete.push_back(std::move(**reply));
            if (complete.size() == replies) break;
            continue;
        }
        const auto [read_error, count] = co_await socket_.async_read_some(asio::buffer(input_), no_throw);
        if (read_error) co_return read_error;
        if (const auto taken = reader_->feed({input_.data(), count}); !taken) co_return taken.error();
    }
    // Then it is not known which reply belongs to which command.
    if (reader_->has_rest()) co_return errc::malformed;
    co_return complete;
}

} // namespace hotspare::storage::redis

#include "tests/unit/balancer/serve/exchange_play.hpp"

#include <boost/asio/error.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <utility>

namespace hotspare::balancer {
namespace {

std::string repeated(const std::string& label, std::size_t size)
{
    std::string text;
    while (text.size() < size) text += label;
    text.resize(size);
    return text;
}

std::string label_of(std::size_t request, std::size_t connection)
{
    return fmt::format("r{}c{}", request, connection);
}

} // namespace

std::ostream& operator<<(std::ostream& out, const Turn& turn)
{
    static const std::array<const char*, static_cast<std::size_t>(Turn::What::count_)> names{
        "request",       "client_more",   "client_end",   "client_break", "client_takes",  "client_opens", "door",
        "connect",       "answer",        "backend_more", "backend_end",  "backend_break", "unasked",      "unnoticed",
        "backend_takes", "backend_opens", "pause",        "leap",         "down",          "back",         "leave"};
    return out << "{Turn::What::" << names[static_cast<std::size_t>(turn.what)] << ", " << unsigned{turn.who} << ", "
               << turn.value << "}";
}

void Play::require(bool holds, std::string what)
{
    if (!holds) wrong.push_back(std::move(what));
}

// ------------------------------------------------------------------------------------------------------------- clients

Play::Client* Play::present(std::uint8_t who)
{
    const auto slot = slots_[who % slots_.size()];
    return slot && world.client(*slot).open() ? &clients_[*slot] : nullptr;
}

Play::Client& Play::client_for(std::uint8_t who)
{
    // One that has half-closed, broken, or may have a tunnel sends no more requests: another takes its place.
    Client* const client = present(who);
    const bool goes_on = client != nullptr && !client->ended &&
                         (client->requests.empty() || !requests_[client->requests.back()].upgrade);
    if (goes_on) return *client;
    world.connect_client();
    slots_[who % slots_.size()] = clients_.size();
    clients_.push_back({.number = clients_.size(), .requests = {}, .outbox = {}});
    return clients_.back();
}

void Play::send_request(Client& client, std::uint16_t value)
{
    const std::size_t id = requests_.size();
    const std::string token = fmt::format("[r{}]", id);
    Request one;
    std::string fields;
    bool chunks = false;
    std::size_t size = 0;
    switch (value % 14) {
    case 0:
    case 1:
    case 2: one = {.method = "GET", .repeatable = true}; break;
    case 3: one = {.method = "HEAD", .repeatable = true}; break;
    case 4: one = {.method = "PUT", .repeatable = true}, size = 100; break;
    case 5: one = {.method = "POST"}, size = 100; break;
    case 6: one = {.method = "POST"}; break;
    case 7: one = {.method = "POST", .repeatable = true}, size = 100, fields = "Idempotency-Key: k\r\n"; break;
    case 8: one = {.method = "PUT", .repeatable = true}, size = 20000; break;
    case 9: one = {.method = "POST"}, size = 20000; break;
    case 10: one = {.method = "POST"}, size = 9000, chunks = true; break;
    case 11: one = {.method = "POST"}, size = 300, fields = "Expect: 100-continue\r\n"; break;
    case 12:
        one = {.method = "GET", .repeatable = true, .upgrade = true};
        fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        break;
    case 13: one = {.method = "GET", .repeatable = true, .http10 = true}; break;
    }
    one.body = repeated(token, size);
    std::string bytes = fmt::format("{} /r{} HTTP/1.{}\r\nHost: h\r\n{}", one.method, id, one.http10 ? 0 : 1, fields);
    if (chunks) {
        bytes += "Transfer-Encoding: chunked\r\n\r\n" + chunk(one.body.substr(0, 17)) + chunk(one.body.substr(17)) +
                 "0\r\n\r\n";
    } else {
        if (size > 0) bytes += fmt::format("Content-Length: {}\r\n", size);
        bytes += "\r\n" + one.body;
    }
    // Of a head that does not arrive in time the balancer does not know the method: a HEAD comes whole.
    const bool whole = one.method == "HEAD";
    requests_.push_back(std::move(one));
    client.requests.push_back(id);
    client.outbox += bytes;

    ScriptedStream& stream = world.client(client.number);
    const std::size_t now = std::array{client.outbox.size(), client.outbox.size() / 2, client.outbox.size() - 1,
                                       std::size_t{10}}[whole ? 0 : value / 14 % 4];
    stream.sends_in_pieces(std::string_view(client.outbox).substr(0, now), value % 3 == 0 ? 7000 : 100000);
    client.outbox.erase(0, now);
}

// ------------------------------------------------------------------------------------------------------------ backends

Play::Connection& Play::connection(std::size_t number)
{
    while (connections_.size() <= number) connections_.emplace_back();
    return connections_[number];
}

/// Takes in what was written to a connection since the last look.
void Play::look(std::size_t number)
{
    Connection& one = connection(number);
    const std::string& got = world.upstream(number).got();
    while (!one.tunnel) {
        // A request counts as written as soon as its target can be read.
        const auto line_end = got.find(" HTTP/1.1", one.begun_at);
        if (!one.counted && line_end != got.npos) {
            const auto at = got.find("/r", one.begun_at);
            const std::size_t id = std::stoul(got.substr(at + 2, line_end - at - 2));
            one.seen.push_back(id);
            one.counted = true;
            ++requests_.at(id).sent_to;
        }
        if (one.fed == got.size()) break;
        one.fed += one.reader.feed(std::string_view(got).substr(one.fed));
        const test::Message& message = one.reader.message();
        require(!one.reader.broken(), fmt::format("connection {}: {}", number, one.reader.reason()));
        if (one.reader.broken()) return;
        if (one.reader.head_complete()) {
            const Request& request = requests_[one.seen.back()];
            require(message.method() == request.method, fmt::format("connection {}: another method", number));
            require(request.body.starts_with(message.body), fmt::format("connection {}: another body", number));
            if (!one.reader.complete()) continue;
            require(message.body_bytes == request.body.size(), fmt::format("connection {}: a body too short", number));
            if (request.upgrade) break; // what follows is read once it is clear whether there is a tunnel
            one.reader.restart();
            one.begun_at = one.fed;
            one.counted = false;
        }
    }
}

template <class F> void Play::with_connection(std::uint8_t who, F&& suits_and_acts)
{
    const std::size_t count = world.upstreams();
    // The latest ones first: the older ones have ended for the most part.
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t number = count - 1 - (i + who) % count;
        if (world.upstream(number).open() && suits_and_acts(number)) return;
    }
}

void Play::send_some(std::size_t number, std::size_t bytes)
{
    Connection& one = connection(number);
    ScriptedStream& stream = world.upstream(number);
    stream.sends(std::string_view(one.outbox).substr(0, bytes));
    one.outbox.erase(0, bytes);
    if (one.outbox.empty() && std::exchange(one.ends_behind, false)) stream.finishes();
}

void Play::send_answer(std::size_t number, std::uint16_t value)
{
    Connection& one = connection(number);
    const std::size_t id = one.seen[one.answered];
    const Request& request = requests_[id];
    const std::string label = label_of(id, number);
    const bool to_head = request.method == "HEAD";
    const std::string body = repeated("[" + label + "]", std::array{50, 3000, 30000, 0}[value / 32 % 4]);
    const auto answer = [&](unsigned status, const std::string& fields = {}) {
        std::string text = fmt::format("HTTP/1.1 {} Word\r\nX-Label: {}\r\n{}", status, label, fields);
        const bool bodiless = status < 200 || status == 204 || status == 304;
        if (!bodiless) text += fmt::format("Content-Length: {}\r\n", body.size());
        return text + "\r\n" + (bodiless || to_head ? "" : body);
    };
    ++one.answered;
    bool whole = value / 8192 % 2 == 0;
    switch (value % 20) {
    case 8: one.outbox = answer(503); break;
    case 9: one.outbox = answer(500); break;
    case 10: one.outbox = answer(404); break;
    case 11: one.outbox = answer(204); break;
    case 12: one.outbox = answer(200, "Connection: close\r\n"), one.ends_behind = true; break;
    case 13:
        one.outbox = fmt::format("HTTP/1.1 200 OK\r\nX-Label: {}\r\nTransfer-Encoding: chunked\r\n\r\n", label);
        if (!to_head) one.outbox += (body.empty() ? "" : chunk(body)) + "0\r\n\r\n";
        break;
    case 14:
        one.outbox = fmt::format("HTTP/1.1 200 OK\r\nX-Label: {}\r\n\r\n", label) + (to_head ? "" : body);
        one.ends_behind = true;
        break;
    case 15: // interim responses: the answer is still to come
        one.outbox = value % 3 == 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : "HTTP/1.1 103 Early Hints\r\n\r\n";
        --one.answered;
        break;
    case 16:
        one.outbox = answer(408, "Connection: close\r\n");
        one.ends_behind = true;
        // Only as the first answer on a connection from the pool, and of that only the first bytes were there to see.
        if (one.answered > 1) one.stale = true, --requests_[id].sent_to;
        break;
    case 17: one.outbox = "nonsense\r\n\r\n"; break;
    case 18: // twice; at once, as nothing could tell the second one from the next request's answer later
        one.outbox = answer(200);
        if (one.counted && !one.reader.complete()) break; // the request has not ended
        one.outbox += one.outbox;
        whole = true;
        break;
    case 19:
        if (request.upgrade) {
            one.outbox = answer(101, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
            one.tunnel = true;
            break;
        }
        [[fallthrough]];
    default: one.outbox = answer(200); break;
    }
    send_some(number, whole ? one.outbox.size() : one.outbox.size() / 3);
}

// ----------------------------------------------------------------------------------------------------------------
// turns

void Play::apply(const Turn& turn)
{
    const auto backend = static_cast<BackendIndex>(turn.who % world.config.backends.size());
    const auto open_connection = [&](std::size_t number) { return !world.upstream(number).is_connecting(); };
    switch (turn.what) {
    case Turn::What::request: send_request(client_for(turn.who), turn.value); break;
    case Turn::What::client_more:
        if (Client* const client = present(turn.who)) {
            const std::size_t bytes = turn.value % 4 == 0 ? turn.value : client->outbox.size();
            world.client(client->number).sends(std::string_view(client->outbox).substr(0, bytes));
            client->outbox.erase(0, bytes);
        }
        break;
    case Turn::What::client_end:
        if (Client* const client = present(turn.who)) world.client(client->number).finishes(), client->ended = true;
        break;
    case Turn::What::client_break:
        if (Client* const client = present(turn.who)) world.client(client->number).breaks(), client->ended = true;
        break;
    case Turn::What::client_takes:
        if (Client* const client = present(turn.who)) world.client(client->number).takes(turn.value % 5000);
        break;
    case Turn::What::client_opens:
        if (Client* const client = present(turn.who)) world.client(client->number).takes_all();
        break;
    case Turn::What::door: world.door(backend, static_cast<Door>(std::array{0, 0, 1, 2, 3}[turn.value % 5])); break;
    case Turn::What::connect:
        with_connection(turn.who, [&](std::size_t number) {
            if (!world.upstream(number).is_connecting()) return false;
            if (turn.value % 4 == 0)
                world.upstream(number).fails_to_connect(boost::asio::error::connection_refused);
            else
                world.upstream(number).accepts();
            return true;
        });
        break;
    case Turn::What::answer:
        with_connection(turn.who, [&](std::size_t number) {
            look(number);
            const Connection& one = connection(number);
            if (one.answered >= one.seen.size() || !one.outbox.empty() || one.tunnel) return false;
            send_answer(number, turn.value);
            return true;
        });
        break;
    case Turn::What::backend_more:
        with_connection(turn.who, [&](std::size_t number) {
            Connection& one = connection(number);
            if (one.tunnel && one.outbox.empty())
                one.outbox = repeated(fmt::format("[t{}]", number), std::to_string(number).size() + 3);
            if (one.outbox.empty()) return false;
            send_some(number, turn.value % 4 == 0 && !one.tunnel ? turn.value : one.outbox.size());
            return true;
        });
        break;
    case Turn::What::backend_end:
        with_connection(turn.who, [&](std::size_t number) {
            if (open_connection(number)) world.upstream(number).finishes();
            return open_connection(number);
        });
        break;
    case Turn::What::backend_break:
        with_connection(turn.who, [&](std::size_t number) {
            if (open_connection(number)) world.upstream(number).breaks();
            return open_connection(number);
        });
        break;
    case Turn::What::unasked:
        with_connection(turn.who, [&](std::size_t number) {
            if (!world.pooled(number) || connection(number).unnoticed) return false;
            world.upstream(number).sends("HTTP/1.1 200 OK\r\nX-Label: unasked\r\nContent-Length: 0\r\n\r\n");
            return true;
        });
        break;
    case Turn::What::unnoticed:
        with_connection(turn.who, [&](std::size_t number) {
            if (!world.pooled(number) || world.upstream(number).unread() > 0) return false;
            connection(number).unnoticed = true;
            world.upstream(number).goes_unnoticed();
            if (turn.value % 2 == 0)
                world.upstream(number).finishes();
            else
                world.upstream(number).breaks();
            // The pool would notice now. The next request comes first.
            send_request(client_for(turn.who), turn.value / 2);
            return true;
        });
        break;
    case Turn::What::backend_takes:
        with_connection(turn.who, [&](std::size_t number) {
            world.upstream(number).takes(turn.value % 5000);
            return true;
        });
        break;
    case Turn::What::backend_opens:
        with_connection(turn.who, [&](std::size_t number) {
            world.upstream(number).takes_all();
            return true;
        });
        break;
    case Turn::What::pause: world.pass(milliseconds(turn.value % 400)); break;
    case Turn::What::leap: world.jump(milliseconds(turn.value % 8000)); break;
    case Turn::What::down: world.goes_down(backend); break;
    case Turn::What::back: world.comes_back(backend); break;
    case Turn::What::leave: world.leaves({backend}); break;
    case Turn::What::count_: break;
    }
    world.run();
}

// ---------------------------------------------------------------------------------------------------------------- the
// end

void Play::end()
{
    for (std::size_t i = 0; i < world.upstreams(); ++i) look(i);
    constexpr Duration long_enough = std::chrono::minutes(4);
    world.pass(long_enough);
    for (std::size_t i = 0; i < world.upstreams(); ++i) look(i);
    require(world.sessions() == 0, fmt::format("{} connections of clients never end", world.sessions()));
    for (const Client& client : clients_) judge_client(client);
    for (std::size_t id = 0; id < requests_.size(); ++id)
        require(requests_[id].repeatable || requests_[id].sent_to <= 1,
                fmt::format("request {} was sent {} times", id, requests_[id].sent_to));

    const std::vector<std::string>& broken = world.settle();
    wrong.insert(wrong.end(), broken.begin(), broken.end());
    std::uint64_t lost = 0;
    for (const auto& kind : world.counters.pools[0].lost) lost += kind.value();
    require(failures_seen_ <= lost, fmt::format("{} lost requests counted as {}", failures_seen_, lost));
}

void Play::judge_client(const Client& client)
{
    const std::vector<std::size_t>& requests = client.requests;
    ScriptedStream& stream = world.client(client.number);
    std::string_view bytes = stream.got();
    for (std::size_t k = 0; !bytes.empty(); ++k) {
        if (k >= requests.size()) return require(false, stream.name() + " got an answer more than it asked for");
        test::MessageReader reader(test::MessageReader::Kind::response);
        if (requests_[requests[k]].method == "HEAD") reader.expect_no_body();
        bytes.remove_prefix(reader.feed(bytes));
        if (bytes.empty() && stream.got_end()) reader.feed_end();
        if (reader.broken()) return require(false, stream.name() + " got something broken: " + reader.reason());
        // A tunnel that falls silent ends, whatever still waits for its client.
        require(reader.complete() || stream.was_reset() || requests_[requests[k]].upgrade,
                stream.name() + " cannot see that its answer was cut short");
        if (!reader.head_complete()) return;
        const test::Message& message = reader.message();
        judge_answer(message, requests[k], reader.complete(), stream.name());
        if (message.status() != 101) continue;
        require(requests_[requests[k]].upgrade, stream.name() + " got a tunnel that it did not ask for");
        const std::string label = message.header("X-Label").value_or("c");
        const std::string token = "[t" + label.substr(label.find('c') + 1) + "]";
        require(bytes == repeated(token, bytes.size()), stream.name() + " got another tunnel's bytes");
        return;
    }
}

void Play::judge_answer(const test::Message& message, std::size_t request, bool whole, const std::string& client)
{
    if (message.header("Content-Type") == "application/problem+json") {
        if (message.status() >= 502) ++failures_seen_;
        return;
    }
    if (whole) ++answers;
    const std::string label = message.header("X-Label").value_or("none");
    const auto middle = label.find('c');
    if (middle == label.npos || label.substr(0, middle) != fmt::format("r{}", request))
        return require(false, fmt::format("{} got {} in answer to request {}", client, label, request));
    const std::size_t connection = std::stoul(label.substr(middle + 1));
    require(message.header("X-Served-By") == world.config.backends[world.backend_of(connection)].name,
            client + " is told of another backend than the one that answered");
    require(message.body == repeated("[" + label + "]", message.body.size()), client + " got bytes of two answers");
}

} // namespace hotspare::balancer

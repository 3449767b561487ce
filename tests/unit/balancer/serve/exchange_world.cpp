#include "tests/unit/balancer/serve/exchange_world.hpp"

#include "balancer/access_log.hpp"

#include <boost/asio/error.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace hotspare::balancer {
namespace {

const std::vector<std::string> saved_names{"retry", "hedge", "move", "park"};
const std::vector<std::string> lost_names{"no_backend", "not_replayable", "budget",
                                          "deadline",   "truncated",      "connection_limit"};

/// The port says which backend it is: connect() is told no more.
Addresses address_of(std::size_t backend)
{
    return {{boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(backend + 1)}};
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator)
{
    std::string all;
    for (const std::string& part : parts) {
        if (!all.empty()) all += separator;
        all += part;
    }
    return all;
}

} // namespace

/// The access log, read back through a pipe: a read waits for the thread that formats, and nothing has to sleep.
struct ExchangeWorld::Log {
    explicit Log(const std::shared_ptr<const Topology>& topology)
    {
        const std::string path = (dir.path() / "log").string();
        if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("cannot make a pipe");
        reader = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        log = std::make_unique<AccessLog>(path, LimitConfig{}.access_log_backlog);
        writer = std::make_unique<AccessLog::Writer>(*log, topology);
    }
    ~Log()
    {
        writer.reset();
        log.reset();
        ::close(reader);
    }

    std::string next_line()
    {
        writer->flush();
        for (;;) {
            if (const auto end = text.find('\n'); end != text.npos) {
                const std::string line = text.substr(0, end);
                text.erase(0, end + 1);
                return line;
            }
            pollfd ready{.fd = reader, .events = POLLIN, .revents = 0};
            constexpr int patience_ms = 5000;
            if (::poll(&ready, 1, patience_ms) != 1) return {};
            char bytes[4096];
            const auto n = ::read(reader, bytes, sizeof bytes);
            if (n > 0) text.append(bytes, static_cast<std::size_t>(n));
        }
    }

    test::TempDir dir;
    int reader = -1;
    std::string text;
    std::unique_ptr<AccessLog> log;
    std::unique_ptr<AccessLog::Writer> writer;
};

// -------------------------------------------------------------------------------------------------- what peers send

Config exchange_config(std::size_t backends)
{
    Config config;
    config.workers = 1;
    PoolConfig pool;
    pool.name = "main";
    for (std::size_t i = 0; i < backends; ++i) {
        const std::string name(1, static_cast<char>('a' + i));
        config.backends.push_back({.name = name, .url = "http://" + name, .host = name});
        pool.backends.push_back(static_cast<BackendIndex>(i));
        pool.weights.push_back(1);
    }
    config.pools.push_back(std::move(pool));
    config.routes.push_back({.path = {}, .prefix = "/", .rewrite = {}, .timeout = config.timeouts.request});
    return config;
}

std::string request(std::string_view method, std::string_view fields, std::string_view body)
{
    std::string head = fmt::format("{} /x HTTP/1.1\r\nHost: h\r\n{}", method, fields);
    if (!body.empty()) head += fmt::format("Content-Length: {}\r\n", body.size());
    return head + "\r\n" + std::string(body);
}

std::string get(std::string_view fields)
{
    return request("GET", fields);
}

std::string put(std::string_view body)
{
    return request("PUT", {}, body);
}

std::string post(std::string_view body)
{
    return request("POST", {}, body);
}

std::string response(unsigned status, std::string_view body, std::string_view fields)
{
    const bool has_length = status >= 200 && status != 204 && status != 304;
    return fmt::format("HTTP/1.1 {} Word\r\n{}{}\r\n{}", status, fields,
                       has_length ? fmt::format("Content-Length: {}\r\n", body.size()) : "", body);
}

std::string ok(std::string_view body)
{
    return response(200, body);
}

std::string chunk(std::string_view content)
{
    return fmt::format("{:x}\r\n{}\r\n", content.size(), content);
}

// ------------------------------------------------------------------------------------------------- beginning and end

ExchangeWorld::ExchangeWorld(Config settings, Reading reading, Logging logging)
    : config(std::move(settings)), reading_(reading), topology_(first_topology(config)),
      log_(logging == Logging::on ? std::make_unique<Log>(topology_) : nullptr),
      doors_(config.backends.size(), Door::open),
      plane(
          static_cast<Connector&>(*this),
          {.relay_memory = config.limits.relay_memory, .proxy_protocol = config.proxy_protocol}, topology_, limits,
          counters, log_ ? log_->writer.get() : nullptr,
          [this](std::vector<Evidence> all) { evidence_.insert(evidence_.end(), all.begin(), all.end()); }, [] {})
{
    for (std::size_t i = 0; i < config.backends.size(); ++i)
        plane.upstreams.set_addresses(static_cast<BackendIndex>(i), address_of(i));
    limits.on_admitted(0, [this] { woken_ = true; });
    limits.on_admitted(1, [] {});
    routing.version = 1;
    routing.backends.assign(config.backends.size(),
                            {.status = Status::healthy, .good_probe_started = a_moment_ago(), .down_count = 0});
    for (const PoolConfig& pool : config.pools) {
        PoolRoute route{.policy = pool.policy, .candidates = {}};
        for (const BackendIndex backend : pool.backends) route.candidates.push_back({backend, Tier::serving, 1});
        routing.pools.push_back(std::move(route));
    }
    publish();
}

ExchangeWorld::~ExchangeWorld()
{
    if (!settled_)
        for (const std::string& violation : settle()) ADD_FAILURE() << violation;
    plane.upstreams.close_all();
}

void ExchangeWorld::require(bool holds, std::string what)
{
    if (!holds) violations.push_back(std::move(what));
}

const std::vector<std::string>& ExchangeWorld::settle()
{
    settled_ = true;
    for (auto& client : clients_) {
        client->finishes();
        client->breaks();
    }
    run();
    // A client whose request is parked or whose end is not watched leaves no later than this.
    if (!sessions_.empty()) pass(config.timeouts.client_idle + config.timeouts.body_idle);
    require(sessions_.empty(), fmt::format("{} sessions go on without their clients", sessions_.size()));
    while (!sessions_.empty()) forget(*sessions_.back());

    plane.release_parked(now());
    for (std::size_t i = 0; i < topology_->backends.size(); ++i) {
        require(plane.active[i] == 0, name_of(i) + " counts requests as active");
        require(counters.backends[i].active.value() == 0, name_of(i) + ": the gauge of requests is not 0");
        const auto occupancy = limits.occupancy(static_cast<BackendIndex>(i));
        require(occupancy.in_use == 0 && occupancy.waiting == 0,
                fmt::format("{}: {} connections count as used, {} requests as waiting", name_of(i), occupancy.in_use,
                            occupancy.waiting));
    }
    require(counters.connections.value() == 0, "the gauge of connections is not 0");
    require(counters.connections_idle.value() == 0, "the gauge of idle connections is not 0");
    require(plane.relay_memory.held() == 0, fmt::format("{} bytes count as held", plane.relay_memory.held()));
    for (std::size_t p = 0; p < topology_->pools.size(); ++p) {
        const PoolCounters& pool = *counters.pools.find(p);
        std::uint64_t ended = 0;
        for (const auto& kind : pool.responses) ended += kind.value();
        require(pool.requests.value() == ended, fmt::format("{} requests and {} ends", pool.requests.value(), ended));
        require(pool.parked.value() == 0, "the gauge of parked requests is not 0");
        std::uint64_t saved = 0;
        for (const auto& kind : pool.saved) saved += kind.value();
        std::uint64_t lost = 0;
        for (const auto& kind : pool.lost) lost += kind.value();
        require(saved + lost <= pool.requests.value(), "more requests were saved or lost than there were");
    }
    for (const auto& client : clients_) require(!client->open(), client->name() + " was not closed");
    for (const Page& asked : pages_) require(!asked.stream->open(), asked.stream->name() + " was not closed");
    std::vector<std::int64_t> pooled(topology_->backends.size(), 0);
    for (const auto& [backend, stream] : upstreams_) {
        const std::string end = fate(*stream);
        require(end != "open", stream->name() + " is neither closed nor in the pool");
        if (end == "pooled") ++pooled[backend];
        require(!(stream->open() && stream->is_connecting()), stream->name() + " still connects");
    }
    for (std::size_t i = 0; i < pooled.size(); ++i)
        require(counters.backends[i].idle.value() == pooled[i],
                name_of(i) + ": the gauge of idle connections is wrong");
    return violations;
}

// --------------------------------------------------------------------------------------------------------------
// clients

ScriptedStream& ExchangeWorld::connect_client()
{
    clients_.push_back(ScriptedStream::accepted(fmt::format("client {}", clients_.size()), violations, reading_));
    auto session = std::make_unique<Session>(plane, static_cast<SessionOwner&>(*this), clients_.back(),
                                             IpEndpoint{IpAddress::parse(peer).value(), 4711});
    sessions_.push_back(std::move(session));
    sessions_.back()->step(now());
    run();
    return *clients_.back();
}

void ExchangeWorld::client_sends(std::string_view bytes)
{
    if (clients_.empty()) connect_client();
    client().sends(bytes);
    run();
}

std::vector<test::Message> ExchangeWorld::answers(const std::vector<std::string>& methods, std::size_t number) const
{
    std::vector<test::Message> all;
    const ScriptedStream& stream = *clients_.at(number);
    std::string_view bytes = stream.got();
    while (!bytes.empty()) {
        test::MessageReader reader(test::MessageReader::Kind::response);
        if (all.size() < methods.size() && methods[all.size()] == "HEAD") reader.expect_no_body();
        bytes.remove_prefix(reader.feed(bytes));
        if (bytes.empty() && stream.got_end()) reader.feed_end();
        test::Message message = reader.message();
        if (reader.broken()) {
            message.body += " broken: " + reader.reason();
            bytes = {};
        } else if (!reader.complete()) {
            message.body += '~';
        }
        all.push_back(std::move(message));
    }
    return all;
}

std::string ExchangeWorld::saw(const std::vector<std::string>& methods, std::size_t number) const
{
    std::vector<std::string> parts;
    for (const test::Message& message : answers(methods, number)) {
        std::string text;
        for (const int interim : message.interim) text += std::to_string(interim) + ' ';
        if (message.status() != 0) text += std::to_string(message.status());
        if (message.header("Content-Type") == "application/problem+json")
            text += " problem";
        else if (!message.body.empty())
            text += (text.empty() || text.back() == ' ' ? "" : " ") + message.body;
        parts.push_back(std::move(text));
    }
    const ScriptedStream& stream = *clients_.at(number);
    if (stream.was_reset())
        parts.emplace_back("reset");
    else if (stream.got_end())
        parts.emplace_back("end");
    return joined(parts, "; ");
}

// -------------------------------------------------------------------------------------------------------------
// backends

std::size_t ExchangeWorld::connections(BackendIndex backend) const
{
    return static_cast<std::size_t>(std::count_if(upstreams_.begin(), upstreams_.end(),
                                                  [backend](const Upstream& up) { return up.backend == backend; }));
}

ScriptedStream& ExchangeWorld::connection(BackendIndex backend, std::size_t number)
{
    for (const Upstream& up : upstreams_)
        if (up.backend == backend && number-- == 0) return *up.stream;
    throw std::logic_error("no such connection to backend " + name_of(backend));
}

ScriptedStream& ExchangeWorld::at(BackendIndex backend)
{
    return connection(backend, connections(backend) - 1);
}

test::Message ExchangeWorld::request_at(BackendIndex backend)
{
    test::MessageReader reader(test::MessageReader::Kind::request, 1 << 20);
    std::string_view bytes = at(backend).got();
    // The last one: a connection from the pool has carried others before.
    for (;;) {
        bytes.remove_prefix(reader.feed(bytes));
        if (bytes.empty() || !reader.complete()) break;
        reader.restart();
    }
    test::Message message = reader.message();
    if (reader.broken())
        message.body += " broken: " + reader.reason();
    else if (!reader.complete())
        message.body += '~';
    return message;
}

std::string ExchangeWorld::asked(BackendIndex backend)
{
    const test::Message message = request_at(backend);
    std::string text(message.method());
    if (!message.body.empty()) text += (text.empty() ? "" : " ") + message.body;
    return text;
}

void ExchangeWorld::answer(BackendIndex backend, std::string_view bytes)
{
    at(backend).sends(bytes);
    run();
}

std::string ExchangeWorld::fate(const ScriptedStream& stream) const
{
    if (stream.was_reset()) return "reset";
    if (stream.closed()) return "closed";
    return stream.listener() == &plane.upstreams ? "pooled" : "open";
}

std::string ExchangeWorld::fates() const
{
    std::vector<std::string> parts;
    for (const auto& [backend, stream] : upstreams_) parts.push_back(name_of(backend) + ' ' + fate(*stream));
    return joined(parts, ", ");
}

void ExchangeWorld::warm(BackendIndex backend)
{
    const Routing before = routing;
    for (auto& candidate : routing.pools[0].candidates)
        candidate.tier = candidate.backend == backend ? Tier::serving : Tier::excluded;
    publish();
    client_sends(get());
    answer(backend, ok("warm"));
    trail();
    evidence();
    forget_counts();
    client().take_got();
    at(backend).take_got();
    routing = before;
    publish();
}

// ---------------------------------------------------------------------------------------------------------- the
// monitor

void ExchangeWorld::publish()
{
    ++routing.version;
    routing.topology = topology_;
    const auto generation = plane.topology().generation;
    const auto down = plane.update(std::make_shared<const Routing>(routing));
    if (!down.empty())
        for (const auto& session : sessions_) session->backends_down(down, now());
    if (plane.topology().generation != generation)
        for (const auto& session : sessions_) session->topology_changed(now());
    plane.release_parked(now());
    run();
}

std::string ExchangeWorld::name_of(std::size_t backend) const
{
    return topology_->backends[backend].name;
}

void ExchangeWorld::reconfigure(const Config& wanted)
{
    const auto change = next_topology(topology_, wanted, unused());
    if (!change) throw std::runtime_error(change.error());
    const auto before = std::exchange(topology_, change->topology);
    routing.backends.resize(topology_->backends.size());
    doors_.resize(topology_->backends.size(), Door::open);
    for (std::size_t i = 0; i < topology_->backends.size(); ++i)
        if (!topology_->same_backend(*before, static_cast<BackendIndex>(i)))
            routing.backends[i] = {.status = Status::healthy, .good_probe_started = a_moment_ago(), .down_count = 0};
    routing.pools.resize(topology_->pools.size());
    for (std::size_t p = 0; p < topology_->pools.size(); ++p) {
        if (!topology_->pool_present(static_cast<PoolIndex>(p))) continue;
        routing.pools[p] = {.policy = topology_->pools[p].policy, .candidates = {}};
        for (const BackendIndex backend : topology_->pools[p].backends)
            routing.pools[p].candidates.push_back({backend, Tier::serving, 1});
    }
    publish();
    for (std::size_t i = 0; i < topology_->backends.size(); ++i)
        plane.upstreams.set_addresses(static_cast<BackendIndex>(i), address_of(i));
}

SlotSet ExchangeWorld::unused() const
{
    SlotSet used;
    for (const auto& session : sessions_) session->mark(used);
    return {.backends = ~used.backends, .pools = ~used.pools};
}

void ExchangeWorld::goes_down(BackendIndex backend)
{
    ++routing.backends[backend].down_count;
    routing.backends[backend].status = Status::down;
    leaves({backend});
}

void ExchangeWorld::leaves(std::initializer_list<BackendIndex> backends)
{
    for (PoolRoute& pool : routing.pools)
        for (Candidate& candidate : pool.candidates)
            if (std::find(backends.begin(), backends.end(), candidate.backend) != backends.end())
                candidate.tier = Tier::excluded;
    publish();
}

void ExchangeWorld::closes(Maintenance announced)
{
    for (PoolRoute& pool : routing.pools) {
        for (Candidate& candidate : pool.candidates) candidate.tier = Tier::excluded;
        pool.maintenance = announced;
    }
    publish();
}

void ExchangeWorld::comes_back(BackendIndex backend)
{
    routing.backends[backend].status = Status::healthy;
    routing.backends[backend].good_probe_started = a_moment_ago();
    for (PoolRoute& pool : routing.pools) {
        pool.maintenance.reset();
        for (Candidate& candidate : pool.candidates)
            if (candidate.backend == backend) candidate.tier = Tier::serving;
    }
    publish();
}

// -----------------------------------------------------------------------------------------------------------------
// time

void ExchangeWorld::run()
{
    constexpr int most_rounds = 10000;
    for (int round = 0; round < most_rounds; ++round) {
        bool moved = false;
        const auto serve = [&](const ScriptedStream::Ptr& stream) {
            if (!stream->due()) return;
            stream->deliver();
            moved = true;
        };
        // By position: what a listener does may add connections.
        for (std::size_t i = 0; i < clients_.size(); ++i) serve(ScriptedStream::Ptr(clients_[i]));
        for (std::size_t i = 0; i < upstreams_.size(); ++i) serve(ScriptedStream::Ptr(upstreams_[i].stream));
        for (std::size_t i = 0; i < pages_.size(); ++i) serve(ScriptedStream::Ptr(pages_[i].stream));
        for (std::size_t turns = again_.size(); turns > 0 && !again_.empty(); --turns) {
            Session* const session = again_.front();
            again_.pop_front();
            session->called_again = false;
            session->step(now());
            moved = true;
        }
        if (std::exchange(woken_, false)) {
            plane.limits.tell_admitted(0);
            moved = true;
        }
        if (!moved) return;
    }
    require(false, "the data plane does not come to rest");
}

void ExchangeWorld::pass(Duration span)
{
    const TimePoint end = now() + span;
    for (TimePoint next = plane.wheel.next(); next <= end; next = plane.wheel.next()) {
        clock.set(next);
        plane.wheel.advance(next);
        run();
    }
    clock.set(end);
    plane.wheel.advance(end);
    run();
}

void ExchangeWorld::jump(Duration span)
{
    clock.set(now() + span);
    plane.wheel.advance(now());
    run();
}

// ------------------------------------------------------------------------------------------------------ what came of
// it

std::string ExchangeWorld::trail()
{
    std::uint64_t ended = 0;
    for (std::size_t p = 0; p < topology_->pools.size(); ++p)
        for (const auto& kind : counters.pools.find(p)->responses) ended += kind.value();
    if (trails_ >= ended) return "no request has ended";
    ++trails_;
    const std::string line = log_->next_line();
    const auto record = nlohmann::json::parse(line);
    logged = {.status = record["status"],
              .complete = record["complete"],
              .client = record["client"],
              .bytes_in = record["bytes_in"],
              .bytes_out = record["bytes_out"]};
    std::vector<std::string> parts;
    for (const auto& attempt : record["attempts"])
        parts.push_back(attempt["backend"].get<std::string>() + (attempt.contains("hedge") ? "+" : "") +
                        (attempt.contains("reused") ? "*" : "") + ' ' + attempt["outcome"].get<std::string>());
    return joined(parts, ", ");
}

std::string ExchangeWorld::evidence()
{
    pass(milliseconds(101));
    std::vector<std::string> parts;
    for (std::size_t backend = 0; backend < topology_->backends.size(); ++backend) {
        for (auto kind = EvidenceKind::success; kind <= EvidenceKind::uncompared;
             kind = static_cast<EvidenceKind>(static_cast<int>(kind) + 1)) {
            unsigned count = 0;
            for (const Evidence& one : evidence_)
                if (one.backend == backend && one.kind == kind) count += one.count;
            if (count == 0) continue;
            parts.push_back(
                fmt::format("{} {}{}", name_of(backend), to_string(kind), count > 1 ? fmt::format(" x{}", count) : ""));
        }
    }
    evidence_.clear();
    return joined(parts, ", ");
}

std::vector<std::pair<std::string, std::uint64_t>> ExchangeWorld::all_counts() const
{
    const PoolCounters& pool = *counters.pools.find(0);
    std::vector<std::pair<std::string, std::uint64_t>> all{{"requests", pool.requests.value()}};
    for (std::size_t i = 0; i < pool.responses.size(); ++i)
        all.emplace_back(i == 0 ? "aborted" : fmt::format("{}xx", i), pool.responses[i].value());
    all.emplace_back("retries", pool.retries.value());
    all.emplace_back("hedges", pool.hedges.value());
    all.emplace_back("moves", pool.moves.value());
    all.emplace_back("budget_exhausted", pool.budget_exhausted.value());
    for (std::size_t i = 0; i < pool.saved.size(); ++i)
        all.emplace_back("saved " + saved_names[i], pool.saved[i].value());
    for (std::size_t i = 0; i < pool.lost.size(); ++i) all.emplace_back("lost " + lost_names[i], pool.lost[i].value());
    return all;
}

std::string ExchangeWorld::counts() const
{
    std::vector<std::string> parts;
    const auto all = all_counts();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::uint64_t value = all[i].second - (forgotten_.empty() ? 0 : forgotten_[i].second);
        if (value > 0) parts.push_back(fmt::format("{} {}", all[i].first, value));
    }
    return joined(parts, ", ");
}

void ExchangeWorld::forget_counts()
{
    forgotten_ = all_counts();
}

// ------------------------------------------------------------------------------------------------ what a worker does

void ExchangeWorld::forget(Session& session)
{
    std::erase(again_, &session);
    const auto it =
        std::find_if(sessions_.begin(), sessions_.end(), [&session](const auto& one) { return one.get() == &session; });
    const std::unique_ptr<Session> last = std::move(*it);
    sessions_.erase(it);
}

void ExchangeWorld::call_again(Session& session)
{
    if (std::exchange(session.called_again, true)) return;
    again_.push_back(&session);
}

Stream::Ptr ExchangeWorld::open_page(Handover handover)
{
    if (!descriptors_left) return nullptr;
    pages_.push_back(
        {std::move(handover), ScriptedStream::accepted(fmt::format("page {}", pages_.size()), violations, reading_)});
    return pages_.back().stream;
}

void ExchangeWorld::answer_page(std::string_view bytes, std::size_t number)
{
    pages_.at(number).stream->sends(bytes);
    run();
}

Stream::Ptr ExchangeWorld::connect(const Addresses& addresses, StreamListener& listener)
{
    const auto backend = static_cast<BackendIndex>(addresses.front().port() - 1);
    auto stream = ScriptedStream::connecting_to(
        fmt::format("connection {} to {}", connections(backend), name_of(backend)), violations, reading_, listener);
    stream->is_at(addresses.front());
    switch (doors_[backend]) {
    case Door::open: stream->accepts(); break;
    case Door::refusing: stream->fails_to_connect(boost::asio::error::connection_refused); break;
    case Door::silent: break;
    case Door::no_sockets: stream->fails_to_connect({EMFILE, boost::system::system_category()}); break;
    }
    upstreams_.push_back({backend, stream});
    return stream;
}

} // namespace hotspare::balancer

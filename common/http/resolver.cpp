#include "common/http/resolver.hpp"

#include "common/http/grammar.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>

namespace hotspare::http {
namespace {

namespace asio = boost::asio;

/// Of a name server, the first time; then twice as long. Another one is asked before a person notices.
constexpr Duration first_timeout = milliseconds(500);
constexpr int tries = 4;
/// What the address family that is missing gets once the other one is there. Some name servers never answer for IPv6.
/// RFC 8305 §3 recommends 50 ms for a connection that a person waits for; a lookup in the background can take longer.
constexpr Duration resolution_delay = milliseconds(500);

struct DnsCategory final : boost::system::error_category {
    const char* name() const noexcept override { return "dns"; }
    std::string message(int status) const override
    {
        // What c-ares 1.18 also makes of SERVFAIL, NOTIMP and REFUSED from all of them.
        if (status == ARES_ECONNREFUSED) return "no name server gives an answer";
        return ares_strerror(status);
    }
};

error_code error_of(int status)
{
    static const DnsCategory category;
    switch (status) {
    case ARES_ENOTFOUND: return asio::error::host_not_found;
    case ARES_ENODATA: return asio::error::no_data;
    case ARES_ETIMEOUT: return make_error_code(errc::timed_out);
    default: return {status, category};
    }
}

Duration to_ttl(std::int64_t seconds_left)
{
    // RFC 2181 §8: a TTL with the highest bit set counts as zero.
    return seconds(std::max<std::int64_t>(seconds_left, 0));
}

bool is_or_ends_in(std::string_view name, std::string_view domain)
{
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.size() < domain.size()) return false;
    const auto end = name.substr(name.size() - domain.size());
    return equals_ignoring_case(end, domain) &&
           (name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.');
}

/// All of one family that the hosts file has. It is read each time, which costs less than knowing when it has changed.
void add_from_hosts_file(ares_channel channel, const std::string& host, int family, std::uint16_t port,
                         Addresses& addresses)
{
    hostent* entry = nullptr;
    if (ares_gethostbyname_file(channel, host.c_str(), family, &entry) != ARES_SUCCESS || entry == nullptr) return;
    for (char** raw = entry->h_addr_list; raw != nullptr && *raw != nullptr; ++raw) {
        asio::ip::address address;
        if (family == AF_INET) {
            asio::ip::address_v4::bytes_type bytes;
            std::memcpy(bytes.data(), *raw, bytes.size());
            address = asio::ip::address_v4(bytes);
        } else {
            asio::ip::address_v6::bytes_type bytes;
            std::memcpy(bytes.data(), *raw, bytes.size());
            address = asio::ip::address_v6(bytes);
        }
        const asio::ip::tcp::endpoint endpoint(address, port);
        if (std::find(addresses.begin(), addresses.end(), endpoint) == addresses.end()) addresses.push_back(endpoint);
    }
    ares_free_hostent(entry);
}

/// Calls `take(type, ttl)` for each record of the answer section. False if the message is not sound.
template <class Take> bool for_each_answer(std::span<const unsigned char> message, Take take)
{
    const auto word = [&message](std::size_t at) { return (message[at] << 8) | message[at + 1]; };
    if (message.size() < NS_HFIXEDSZ) return false;
    std::size_t at = NS_HFIXEDSZ;
    const auto skip_name = [&] {
        char* name = nullptr;
        long length = 0;
        if (ares_expand_name(message.data() + at, message.data(), static_cast<int>(message.size()), &name, &length) !=
            ARES_SUCCESS)
            return false;
        ares_free_string(name);
        at += static_cast<std::size_t>(length);
        return at <= message.size();
    };
    const int questions = word(4), answers = word(6);
    for (int i = 0; i < questions; ++i, at += NS_QFIXEDSZ)
        if (at >= message.size() || !skip_name() || at + NS_QFIXEDSZ > message.size()) return false;
    for (int i = 0; i < answers; ++i) {
        if (at >= message.size() || !skip_name() || at + NS_RRFIXEDSZ > message.size()) return false;
        const auto ttl = static_cast<std::int32_t>((static_cast<std::uint32_t>(word(at + 4)) << 16) |
                                                   static_cast<std::uint32_t>(word(at + 6)));
        take(word(at), to_ttl(ttl));
        at += NS_RRFIXEDSZ + static_cast<std::size_t>(word(at + 8));
        if (at > message.size()) return false;
    }
    return true;
}

/// What one lookup has found.
struct Found {
    Addresses addresses{};
    std::vector<ServiceRecord> services{};
    std::optional<Duration> ttl{};
    bool complete = true;

    bool empty() const noexcept { return addresses.empty() && services.empty(); }
    void lower_ttl(Duration to) { ttl = ttl ? std::min(*ttl, to) : to; }
};

int add_addresses(std::span<const unsigned char> message, ns_type type, std::uint16_t port, Found& found)
{
    // Of an answer over UDP 31 fit in, over TCP some thousands; more than these are not of use.
    constexpr int most = 256;
    int count = most;
    const auto size = static_cast<int>(message.size());
    const auto add = [&](const asio::ip::address& address, int ttl) {
        found.lower_ttl(to_ttl(ttl));
        const asio::ip::tcp::endpoint endpoint(address, port);
        if (std::find(found.addresses.begin(), found.addresses.end(), endpoint) == found.addresses.end())
            found.addresses.push_back(endpoint);
    };
    if (type == ns_t_a) {
        std::array<ares_addrttl, most> records;
        const int status = ares_parse_a_reply(message.data(), size, nullptr, records.data(), &count);
        if (status != ARES_SUCCESS) return status;
        for (int i = 0; i < count; ++i) {
            asio::ip::address_v4::bytes_type bytes;
            std::memcpy(bytes.data(), &records[static_cast<std::size_t>(i)].ipaddr, bytes.size());
            add(asio::ip::address_v4(bytes), records[static_cast<std::size_t>(i)].ttl);
        }
    } else {
        std::array<ares_addr6ttl, most> records;
        const int status = ares_parse_aaaa_reply(message.data(), size, nullptr, records.data(), &count);
        if (status != ARES_SUCCESS) return status;
        for (int i = 0; i < count; ++i) {
            asio::ip::address_v6::bytes_type bytes;
            std::memcpy(bytes.data(), &records[static_cast<std::size_t>(i)].ip6addr, bytes.size());
            add(asio::ip::address_v6(bytes), records[static_cast<std::size_t>(i)].ttl);
        }
    }
    return count > 0 ? ARES_SUCCESS : ARES_ENODATA;
}

int add_services(std::span<const unsigned char> message, Found& found)
{
    ares_srv_reply* first = nullptr;
    const int status = ares_parse_srv_reply(message.data(), static_cast<int>(message.size()), &first);
    if (status != ARES_SUCCESS) return status;
    for (const ares_srv_reply* record = first; record != nullptr; record = record->next)
        found.services.push_back({record->host, record->port, record->priority, record->weight});
    ares_free_data(first);
    const bool sound = for_each_answer(message, [&found](int type, Duration ttl) {
        if (type == ns_t_srv || type == ns_t_cname) found.lower_ttl(ttl);
    });
    if (!sound) return ARES_EBADRESP;
    return found.services.empty() ? ARES_ENODATA : ARES_SUCCESS;
}

/// One lookup: the names of its search list, one after the other, each asked for all types of record at once.
class Lookup : public std::enable_shared_from_this<Lookup> {
public:
    using Ended = std::function<void(result<Found>)>;

    Lookup(asio::io_context& context, const Resolver::Settings& settings, std::string name, std::uint16_t port,
           std::vector<ns_type> types, Ended ended)
        : context_(context), settings_(settings), name_(std::move(name)), port_(port), ended_(std::move(ended)),
          timer_(context)
    {
        for (const ns_type type : types) questions_.push_back({.lookup = this, .type = type});
    }

    ~Lookup()
    {
        over_ = true; // what c-ares calls while it gives up is not an answer
        if (channel_ != nullptr) ares_destroy(channel_);
    }

    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;

    /// Ended is called by the event loop, once, with nothing of c-ares on the stack: it may destroy the Lookup.
    void start()
    {
        deadline_ = Clock::now() + settings_.patience;
        if (const auto known = without_dns()) return end(*known);
        if (const int status = open(); status != ARES_SUCCESS) return end(error_of(status));
        if (asks_for_addresses()) {
            Found found;
            for (const int family : {AF_INET, AF_INET6})
                add_from_hosts_file(channel_, name_, family, port_, found.addresses);
            add_loopback(found.addresses);
            if (!found.addresses.empty()) return end(std::move(found));
        }
        ask();
        advance();
    }

private:
    struct Question {
        Lookup* lookup;
        ns_type type;
        bool waits = false;
        int status = ARES_SUCCESS; ///< of the latest name
    };

    /// A socket of c-ares: its, but watched by the event loop.
    struct Watch {
        asio::posix::stream_descriptor descriptor;
        bool read = false, write = false;             ///< wanted
        bool read_waits = false, write_waits = false; ///< asked of the event loop
    };

    bool asks_for_addresses() const noexcept { return questions_.front().type != ns_t_srv; }
    bool is_localhost() const noexcept { return is_or_ends_in(name_, "localhost"); }

    /// RFC 6761 §6.4: `invalid` is answered here.
    std::optional<result<Found>> without_dns() const
    {
        if (name_.empty() || name_.size() > NS_MAXCDNAME || is_or_ends_in(name_, "invalid"))
            return error_code(asio::error::host_not_found);
        error_code is_name;
        const auto address = asio::ip::make_address(name_, is_name);
        if (is_name || !asks_for_addresses()) return std::nullopt;
        return Found{.addresses = {{address, port_}}};
    }

    /// RFC 6761 §6.3: `localhost` is both, also where /etc/hosts knows only one.
    void add_loopback(Addresses& addresses) const
    {
        if (!is_localhost()) return;
        for (const asio::ip::address& loopback :
             {asio::ip::address(asio::ip::address_v4::loopback()), asio::ip::address(asio::ip::address_v6::loopback())})
            if (const asio::ip::tcp::endpoint there(loopback, port_);
                std::find(addresses.begin(), addresses.end(), there) == addresses.end())
                addresses.push_back(there);
    }

    int open()
    {
        ares_options options{};
        options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
        options.timeout = static_cast<int>(std::chrono::duration_cast<milliseconds>(first_timeout).count());
        options.tries = tries;
        options.resolvconf_path = settings_.resolv_conf.data();
        options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
            static_cast<Lookup*>(self)->socket_changed(socket, readable != 0, writable != 0);
        };
        options.sock_state_cb_data = this;
        int status = ares_init_options(&channel_, &options,
                                       ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF |
                                           ARES_OPT_SOCK_STATE_CB);
        if (status != ARES_SUCCESS) {
            channel_ = nullptr;
            return status;
        }
        if (!settings_.servers.empty())
            status = ares_set_servers_ports_csv(channel_, fmt::format("{}", fmt::join(settings_.servers, ",")).c_str());
        if (status != ARES_SUCCESS) return status;

        ares_options in_use{};
        int given = 0;
        std::vector<std::string> domains;
        unsigned ndots = 1;
        if (ares_save_options(channel_, &in_use, &given) == ARES_SUCCESS) {
            for (int i = 0; i < in_use.ndomains; ++i) domains.emplace_back(in_use.domains[i]);
            ndots = static_cast<unsigned>(std::max(in_use.ndots, 0));
            ares_destroy_options(&in_use);
        }
        names_ = search_list(name_, ndots, domains);
        return ARES_SUCCESS;
    }

    /// The next name of the search list.
    void ask()
    {
        const std::string& name = names_[asked_++];
        for (Question& question : questions_) question.waits = true;
        for (Question& question : questions_)
            ares_query(
                channel_, name.c_str(), ns_c_in, question.type,
                [](void* asked, int status, int, unsigned char* message, int size) {
                    auto& q = *static_cast<Question*>(asked);
                    q.lookup->answered(q, status, {message, static_cast<std::size_t>(std::max(size, 0))});
                },
                &question);
    }

    /// c-ares is on the stack.
    void answered(Question& question, int status, std::span<const unsigned char> message)
    {
        if (over_) return;
        if (status == ARES_SUCCESS)
            status = question.type == ns_t_srv ? add_services(message, found_)
                                               : add_addresses(message, question.type, port_, found_);
        question.status = status;
        question.waits = false;
        if (!found_.empty()) deadline_ = std::min(deadline_, Clock::now() + resolution_delay);
    }

    /// What follows from what has been answered so far.
    void advance()
    {
        const auto waits = [](const Question& question) { return question.waits; };
        while (!over_ && std::none_of(questions_.begin(), questions_.end(), waits)) {
            if (!found_.empty()) return conclude();
            // As glibc does: a name server that fails for one name of the list may know the next one, one that is
            // silent would be waited for each time.
            bool silent = false;
            for (const Question& question : questions_) {
                if (!no_such_record(question.status)) failure_ = question.status;
                silent |= question.status == ARES_ETIMEOUT;
            }
            if (silent || asked_ == names_.size()) return conclude();
            ask();
        }
        if (over_) return;
        const TimePoint now = Clock::now();
        if (now >= deadline_) return conclude();
        for (auto& [socket, watch] : watches_) await(socket, watch);
        timeval wait{};
        const timeval* const due = ares_timeout(channel_, nullptr, &wait);
        // A millisecond more: c-ares counts them.
        const TimePoint retry =
            due != nullptr ? now + seconds(due->tv_sec) + std::chrono::microseconds(due->tv_usec) + milliseconds(1)
                           : TimePoint::max();
        timer_.expires_at(std::min(retry, deadline_));
        timer_.async_wait([weak = weak_from_this()](const error_code& error) {
            const auto self = weak.lock();
            if (!error && self) self->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        });
    }

    static bool no_such_record(int status) noexcept { return status == ARES_ENODATA || status == ARES_ENOTFOUND; }

    /// With what there is.
    void conclude()
    {
        for (Question& question : questions_)
            if (std::exchange(question.waits, false)) question.status = ARES_ETIMEOUT;
        if (found_.empty()) {
            int status = failure_;
            for (const Question& question : questions_)
                if (status == ARES_SUCCESS || !no_such_record(question.status)) status = question.status;
            // The name exists if it has a record of one type.
            const auto has_other = [](const Question& question) { return question.status == ARES_ENODATA; };
            if (status == ARES_ENOTFOUND && std::any_of(questions_.begin(), questions_.end(), has_other))
                status = ARES_ENODATA;
            return end(error_of(status));
        }
        for (const Question& question : questions_)
            if (question.status != ARES_SUCCESS && !no_such_record(question.status)) found_.complete = false;
        if (asks_for_addresses())
            std::stable_partition(found_.addresses.begin(), found_.addresses.end(),
                                  [](const auto& endpoint) { return endpoint.address().is_v4(); });
        end(std::move(found_));
    }

    void end(result<Found> found)
    {
        over_ = true;
        timer_.cancel();
        asio::post(context_, [weak = weak_from_this(), found = std::move(found)]() mutable {
            const auto self = weak.lock();
            if (self) self->ended_(std::move(found));
        });
    }

    /// c-ares is on the stack. A socket that is neither to be read nor to be written is about to be closed.
    void socket_changed(ares_socket_t socket, bool read, bool write)
    {
        if (!read && !write) {
            const auto it = watches_.find(socket);
            if (it == watches_.end()) return;
            it->second.descriptor.release(); // c-ares closes it
            watches_.erase(it);
            return;
        }
        const auto [it, is_new] = watches_.try_emplace(socket, Watch{asio::posix::stream_descriptor(context_)});
        Watch& watch = it->second;
        error_code not_watched; // then the lookup goes on by its timer, and fails
        if (is_new) watch.descriptor.assign(socket, not_watched);
        watch.read = read;
        watch.write = write;
    }

    void await(ares_socket_t socket, Watch& watch)
    {
        if (!watch.descriptor.is_open()) return;
        if (watch.read && !std::exchange(watch.read_waits, true))
            watch.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                        [weak = weak_from_this(), socket](const error_code& error) {
                                            const auto self = weak.lock();
                                            if (!error && self) self->ready(socket, &Watch::read_waits, true);
                                        });
        if (watch.write && !std::exchange(watch.write_waits, true))
            watch.descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                                        [weak = weak_from_this(), socket](const error_code& error) {
                                            const auto self = weak.lock();
                                            if (!error && self) self->ready(socket, &Watch::write_waits, false);
                                        });
    }

    void ready(ares_socket_t socket, bool Watch::*waits, bool to_read)
    {
        const auto it = watches_.find(socket);
        if (over_ || it == watches_.end()) return; // a socket with the same number is tried in vain, which does no harm
        it->second.*waits = false;
        process(to_read ? socket : ARES_SOCKET_BAD, to_read ? ARES_SOCKET_BAD : socket);
    }

    void process(ares_socket_t to_read, ares_socket_t to_write)
    {
        if (over_) return;
        ares_process_fd(channel_, to_read, to_write);
        advance();
    }

    asio::io_context& context_;
    Resolver::Settings settings_;
    const std::string name_;
    const std::uint16_t port_;
    const Ended ended_;

    ares_channel channel_ = nullptr;
    std::map<ares_socket_t, Watch> watches_;
    asio::steady_timer timer_;
    TimePoint deadline_{};

    std::vector<std::string> names_; ///< the search list
    std::size_t asked_ = 0;          ///< of these
    std::vector<Question> questions_;
    int failure_ = ARES_SUCCESS; ///< of a name of the list that may exist
    Found found_;
    bool over_ = false;
};

} // namespace

std::vector<std::string> search_list(const std::string& name, unsigned ndots, const std::vector<std::string>& domains)
{
    if (name.ends_with('.')) return {name};
    std::vector<std::string> names;
    for (const std::string& domain : domains) names.push_back(name + '.' + domain);
    const bool whole_first = std::count(name.begin(), name.end(), '.') >= static_cast<std::ptrdiff_t>(ndots);
    names.insert(whole_first ? names.begin() : names.end(), name);
    return names;
}

struct Resolver::State : std::enable_shared_from_this<State> {
    State(asio::io_context& c, Settings s) : context(c), settings(std::move(s)) {}

    void add(std::string name, std::uint16_t port, std::vector<ns_type> types, Lookup::Ended done)
    {
        const std::uint64_t id = next_id++;
        auto lookup = std::make_shared<Lookup>(
            context, settings, std::move(name), port, std::move(types),
            [weak = weak_from_this(), id, done = std::move(done)](result<Found> found) {
                const auto self = weak.lock();
                if (!self) return;
                const auto over = self->running.extract(id); // until `done` has returned, which may begin another
                self->start_some();
                done(std::move(found));
            });
        waiting.emplace_back(id, std::move(lookup));
        start_some();
    }

    void start_some()
    {
        while (running.size() < settings.most && !waiting.empty()) {
            const auto lookup = running.insert(std::move(waiting.front())).first->second;
            waiting.pop_front();
            lookup->start();
        }
    }

    asio::io_context& context;
    const Settings settings;
    std::uint64_t next_id = 0;
    std::map<std::uint64_t, std::shared_ptr<Lookup>> running;
    std::deque<std::pair<const std::uint64_t, std::shared_ptr<Lookup>>> waiting;
};

Resolver::Resolver(asio::io_context& context, Settings settings)
    : state_(std::make_shared<State>(context, std::move(settings)))
{
}

Resolver::~Resolver() = default;

void Resolver::look_up(std::string host, std::uint16_t port, Done done)
{
    state_->add(std::move(host), port, {ns_t_a, ns_t_aaaa}, [done = std::move(done)](result<Found> found) {
        if (!found) return done(found.error());
        done(NameAnswer{.addresses = std::move(found->addresses), .ttl = found->ttl, .complete = found->complete});
    });
}

void Resolver::look_up_service(std::string name, DoneService done)
{
    state_->add(std::move(name), 0, {ns_t_srv}, [done = std::move(done)](result<Found> found) {
        if (!found) return done(found.error());
        ServiceAnswer answer{.records = std::move(found->services), .ttl = found->ttl.value_or(Duration::zero())};
        // RFC 2782: a single record with the target "." says that there is no such service.
        std::erase_if(answer.records, [](const ServiceRecord& r) { return r.host.empty() || r.host == "."; });
        done(std::move(answer));
    });
}

void Resolver::cancel()
{
    state_->waiting.clear();
    state_->running.clear();
}

} // namespace hotspare::http

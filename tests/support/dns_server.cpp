#include "tests/support/dns_server.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace hotspare::test {
namespace {

constexpr std::size_t header_size = 12;

std::string word(std::uint16_t value)
{
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string long_word(std::uint32_t value)
{
    return word(static_cast<std::uint16_t>(value >> 16)) + word(static_cast<std::uint16_t>(value & 0xffff));
}

std::uint16_t word_at(const std::string& bytes, std::size_t at)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])); };
    return static_cast<std::uint16_t>((byte(at) << 8) | byte(at + 1));
}

/// RFC 1035 §3.1, without compression.
std::string encoded(const std::string& name)
{
    std::string out;
    for (std::size_t at = 0; at < name.size();) {
        const auto dot = std::min(name.find('.', at), name.size());
        if (dot > at) out += static_cast<char>(dot - at) + name.substr(at, dot - at);
        at = dot + 1;
    }
    return out + '\0';
}

std::string bytes_of(int family, const std::string& address)
{
    std::array<char, sizeof(in6_addr)> bytes{};
    if (::inet_pton(family, address.c_str(), bytes.data()) != 1) throw std::invalid_argument(address);
    return {bytes.data(), family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr)};
}

/// Behind the header, in lower case; moves `at` behind it.
std::string name_at(const std::string& message, std::size_t& at)
{
    std::string name;
    while (at < message.size() && message[at] != '\0') {
        const auto length = static_cast<unsigned char>(message[at]);
        name += (name.empty() ? "" : ".") + message.substr(at + 1, length);
        at += 1U + length;
    }
    ++at;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return name;
}

} // namespace

DnsServer::DnsServer() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))
{
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!socket_ || ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
        throw std::system_error(errno, std::generic_category(), "DnsServer");
    thread_ = std::thread([this] { run(); });
}

DnsServer::~DnsServer()
{
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.raise();
    thread_.join();
}

std::string DnsServer::address() const
{
    return "127.0.0.1:" + std::to_string(local_port(socket_));
}

void DnsServer::put(const std::string& name, Type type, std::vector<std::string> data, seconds ttl)
{
    const std::lock_guard lock(mutex_);
    std::erase_if(zone_, [&](const auto& entry) { return entry.first == name && entry.second.type == type; });
    for (std::string& one : data)
        zone_.emplace(name, Record{type, std::move(one), static_cast<std::uint32_t>(ttl.count())});
}

void DnsServer::a(const std::string& name, const std::vector<std::string>& addresses, seconds ttl)
{
    std::vector<std::string> data;
    for (const auto& address : addresses) data.push_back(bytes_of(AF_INET, address));
    put(name, Type::a, std::move(data), ttl);
}

void DnsServer::aaaa(const std::string& name, const std::vector<std::string>& addresses, seconds ttl)
{
    std::vector<std::string> data;
    for (const auto& address : addresses) data.push_back(bytes_of(AF_INET6, address));
    put(name, Type::aaaa, std::move(data), ttl);
}

void DnsServer::srv(const std::string& name, const std::vector<Srv>& records, seconds ttl)
{
    std::vector<std::string> data;
    for (const Srv& r : records) data.push_back(word(r.priority) + word(r.weight) + word(r.port) + encoded(r.target));
    put(name, Type::srv, std::move(data), ttl);
}

void DnsServer::cname(const std::string& name, const std::string& target, seconds ttl)
{
    put(name, Type::cname, {encoded(target)}, ttl);
}

void DnsServer::remove(const std::string& name)
{
    const std::lock_guard lock(mutex_);
    zone_.erase(name);
}

void DnsServer::set(Mood mood)
{
    const std::lock_guard lock(mutex_);
    mood_ = mood;
    by_type_.clear();
}

void DnsServer::set(Type type, Mood mood)
{
    const std::lock_guard lock(mutex_);
    by_type_[type] = mood;
}

void DnsServer::delay(milliseconds by)
{
    const std::lock_guard lock(mutex_);
    delay_ = by;
}

std::size_t DnsServer::asked(const std::string& name) const
{
    const std::lock_guard lock(mutex_);
    const auto it = asked_.find(name);
    return it != asked_.end() ? it->second : 0;
}

/// Empty: none. The caller holds the mutex.
std::string DnsServer::answer(const std::string& question)
{
    if (question.size() < header_size) return {};
    std::size_t at = header_size;
    std::string name = name_at(question, at);
    if (at + 4 > question.size()) return {};
    const auto type = static_cast<Type>(word_at(question, at));
    const std::string asked = question.substr(header_size, at + 4 - header_size);
    ++asked_[name];

    const auto own = by_type_.find(type);
    const Mood mood = own != by_type_.end() ? own->second : mood_;
    if (mood == Mood::silent) return {};
    if (mood == Mood::garbles) return question.substr(0, 2) + "no message";

    std::string records;
    std::uint16_t count = 0;
    bool exists = false;
    const auto add = [&](const std::string& owner, const Record& record) {
        records += encoded(owner) + word(static_cast<std::uint16_t>(record.type)) + word(1) + long_word(record.ttl) +
                   word(static_cast<std::uint16_t>(record.data.size())) + record.data;
        ++count;
    };
    for (std::string of = name; mood == Mood::answers;) {
        std::optional<std::string> further;
        const auto [from, to] = zone_.equal_range(of);
        for (auto it = from; it != to; ++it) {
            exists = true;
            if (it->second.type != type && it->second.type != Type::cname) continue;
            add(of, it->second);
            std::size_t start = 0;
            if (it->second.type == Type::cname) further = name_at(it->second.data, start);
        }
        if (!further) break;
        of = *further;
    }
    constexpr std::uint16_t response = 0x8180; // QR, RD, RA
    constexpr std::uint16_t servfail = 2, nxdomain = 3;
    const std::uint16_t code = mood == Mood::servfail ? servfail : exists ? 0 : nxdomain;
    return question.substr(0, 2) + word(response | code) + word(1) + word(count) + word(0) + word(0) + asked + records;
}

void DnsServer::run()
{
    for (;;) {
        timespec left{};
        if (!late_.empty()) left = until(late_.front().due);
        std::array<pollfd, 2> watched{{{socket_.get(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}}};
        ::ppoll(watched.data(), watched.size(), late_.empty() ? nullptr : &left, nullptr);
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        std::array<char, 4096> buffer;
        for (;;) {
            sockaddr_in from{};
            socklen_t size = sizeof from;
            const auto got =
                ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
            if (got < 0) break;
            std::string bytes = answer({buffer.data(), static_cast<std::size_t>(got)});
            if (bytes.empty()) continue;
            std::vector<char> to(size);
            std::memcpy(to.data(), &from, size);
            late_.push_back({Clock::now() + delay_, std::move(bytes), std::move(to)});
        }
        for (; !late_.empty() && late_.front().due <= Clock::now(); late_.pop_front())
            ::sendto(socket_.get(), late_.front().bytes.data(), late_.front().bytes.size(), 0,
                     reinterpret_cast<const sockaddr*>(late_.front().to.data()),
                     static_cast<socklen_t>(late_.front().to.size()));
    }
}

} // namespace hotspare::test

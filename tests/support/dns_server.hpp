// A name server whose zone and moods are the test's: A, AAAA and SRV records with their TTLs over UDP, and whatever a
// name server does that does not answer. It shares no code with the resolver that it answers.
//
// Thread: one of its own, which does all the I/O; the public functions may be called from any thread.
#pragma once

#include "tests/support/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::test {

class DnsServer {
public:
    enum class Type : std::uint16_t { a = 1, cname = 5, aaaa = 28, srv = 33 };
    enum class Mood {
        answers,
        silent,
        servfail,
        garbles, ///< what it sends is no message
    };
    struct Srv {
        std::uint16_t priority = 0;
        std::uint16_t weight = 0;
        std::uint16_t port = 0;
        std::string target; ///< "." = no such service
    };

    DnsServer(); ///< on a free port of 127.0.0.1
    ~DnsServer();

    DnsServer(const DnsServer&) = delete;
    DnsServer& operator=(const DnsServer&) = delete;

    /// "127.0.0.1:PORT"
    std::string address() const;

    // The zone: in lower case, without the last dot. A name with a record of another type has none of this one
    // (NODATA), one without any does not exist (NXDOMAIN).

    void a(const std::string& name, const std::vector<std::string>& addresses, seconds ttl = seconds(60));
    void aaaa(const std::string& name, const std::vector<std::string>& addresses, seconds ttl = seconds(60));
    void srv(const std::string& name, const std::vector<Srv>& records, seconds ttl = seconds(60));
    /// The answers for `name` are those for `target`, with this record in front.
    void cname(const std::string& name, const std::string& target, seconds ttl = seconds(60));
    void remove(const std::string& name);

    void set(Mood mood);            ///< for all questions
    void set(Type type, Mood mood); ///< for this type, in place of the other
    void delay(milliseconds by);    ///< each answer is so late

    /// Questions for this name so far, answered or not.
    std::size_t asked(const std::string& name) const;

private:
    struct Record {
        Type type;
        std::string data; ///< as in a message
        std::uint32_t ttl;
    };
    struct Late {
        TimePoint due;
        std::string bytes;
        std::vector<char> to;
    };

    void put(const std::string& name, Type type, std::vector<std::string> data, seconds ttl);
    void run();
    std::string answer(const std::string& question);

    Fd socket_;
    WakeUp wake_;
    mutable std::mutex mutex_; ///< guards the rest
    std::multimap<std::string, Record> zone_;
    std::map<std::string, std::size_t> asked_;
    std::map<Type, Mood> by_type_;
    Mood mood_ = Mood::answers;
    milliseconds delay_{0};
    bool stopping_ = false;
    std::deque<Late> late_; ///< its thread only
    std::thread thread_;
};

} // namespace hotspare::test

// Keeps the answers to a set of names fresh: looks each up when its LookupSchedule says so, and tells what is found. A
// name server that fails takes nothing away.
//
// Thread: the event loop's, or, before that runs, the one that constructs. Owner: the Monitor.
#pragma once

#include "balancer/decide/names.hpp"
#include "common/http/resolver.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace hotspare::balancer {

using http::Addresses;

class NameWatch {
public:
    struct Name {
        NameQuery query;
        Duration interval{}; ///< as of LookupSchedule
    };
    /// What a lookup found. It may call watch().
    struct Hearing {
        std::function<void(const NameQuery&, const http::NameAnswer&)> addresses;
        std::function<void(const NameQuery&, const http::ServiceAnswer&)> records;
    };

    NameWatch(boost::asio::io_context& context, http::Resolver::Settings settings, std::uint32_t seed, Hearing hearing);

    /// These and no others from now on. A new one is looked up at once; one that is named twice counts with its shorter
    /// interval.
    void watch(const std::vector<Name>& names);

    /// What the name stands for cannot be reached.
    void doubt(const NameQuery& query);

    /// All that is known; empty if nothing is.
    const Addresses& known(const NameQuery& query) const;
    /// It is looked up for the first time, and there is no answer yet.
    bool is_unanswered(const NameQuery& query) const;
    /// Why the latest lookup failed; empty if it did not.
    const std::string& error(const NameQuery& query) const;

    /// Nothing of this keeps the event loop running after that.
    void stop();

private:
    struct Entry {
        LookupSchedule schedule;
        Addresses known{};
        std::string error{};
        bool answered = false; ///< if only with an error
    };

    void arm();
    void look_up(const NameQuery& query, Entry& entry);
    /// The name's, unless it is not watched any more, with what the lookup came to.
    Entry* ended(const NameQuery& query, const error_code& error, std::optional<Duration> ttl);

    http::Resolver resolver_;
    std::mt19937 random_;
    const Hearing hearing_;
    boost::asio::steady_timer timer_;
    TimePoint timer_at_ = TimePoint::max();
    std::map<NameQuery, Entry> entries_;
    bool stopped_ = false;
};

} // namespace hotspare::balancer

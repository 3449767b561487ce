// A mail server that takes every mail and keeps it, and refuses or falls silent where the test says so. It speaks as
// much of SMTP (RFC 5321, AUTH PLAIN) as a client needs, without TLS.
//
// Threads: one accepts and one serves each connection; a script runs on the latter. The public functions may be called
// from any thread.
#pragma once

#include "tests/support/socket.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::test {

class SmtpSink {
public:
    struct Mail {
        std::string from; ///< as in MAIL FROM
        std::vector<std::string> to;
        std::string data; ///< header and body, dots removed
    };

    /// The reply to a command line, without its line end; "" is sent for the greeting and "." for the end of a mail.
    /// Nothing: the usual reply. An empty one: silence.
    using Script = std::function<std::optional<std::string>(const std::string& line)>;

    explicit SmtpSink(Script script = {});
    ~SmtpSink();

    SmtpSink(const SmtpSink&) = delete;
    SmtpSink& operator=(const SmtpSink&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::size_t connections() const noexcept { return connections_; } ///< accepted, ever
    std::vector<Mail> mails() const;
    /// All lines that clients have sent outside of mails.
    std::vector<std::string> commands() const;

private:
    void accept_loop();
    void serve(const Fd& socket);
    std::string reply_to(const std::string& line, Mail& mail);

    const Script script_;
    Fd listener_;
    std::uint16_t port_;
    WakeUp stop_;
    std::atomic<std::size_t> connections_ = 0;
    mutable std::mutex mutex_;
    std::vector<Mail> mails_;
    std::vector<std::string> commands_;
    std::list<std::thread> threads_; ///< the acceptor's, until it has ended
    std::thread acceptor_;
};

} // namespace hotspare::test

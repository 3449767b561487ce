#include "tests/support/smtp_sink.hpp"

#include <sys/socket.h>

#include <array>
#include <utility>

namespace hotspare::test {

SmtpSink::SmtpSink(Script script)
    : script_(std::move(script)), listener_(listen_loopback(0)), port_(local_port(listener_))
{
    set_nonblocking(listener_);
    acceptor_ = std::thread([this] { accept_loop(); });
}

SmtpSink::~SmtpSink()
{
    stop_.raise();
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
}

std::vector<SmtpSink::Mail> SmtpSink::mails() const
{
    const std::lock_guard lock(mutex_);
    return mails_;
}

std::vector<std::string> SmtpSink::commands() const
{
    const std::lock_guard lock(mutex_);
    return commands_;
}

void SmtpSink::accept_loop()
{
    while (wait_readable(listener_, std::nullopt, &stop_)) {
        Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) continue;
        set_nodelay(socket);
        ++connections_;
        threads_.emplace_back([this, connection = std::move(socket)] { serve(connection); });
    }
}

void SmtpSink::serve(const Fd& socket)
{
    std::string received;
    const auto read_line = [&]() -> std::optional<std::string> {
        std::array<char, 4096> buffer;
        for (auto end = received.find("\r\n"); end == std::string::npos; end = received.find("\r\n")) {
            if (!wait_readable(socket, std::nullopt, &stop_)) return std::nullopt;
            const auto n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
            if (n <= 0) return std::nullopt;
            received.append(buffer.data(), static_cast<std::size_t>(n));
        }
        auto line = received.substr(0, received.find("\r\n"));
        received.erase(0, line.size() + 2);
        return line;
    };
    Mail mail;
    const auto answer = [&](const std::string& line) {
        auto reply = script_ ? script_(line) : std::nullopt;
        const auto usual = reply_to(line, mail);
        if (!reply) reply = usual;
        if (!reply->empty() && !send_all(socket, *reply + "\r\n", std::nullopt, &stop_)) reply->clear();
        return *reply;
    };

    answer("");
    for (auto line = read_line(); line; line = read_line()) {
        {
            const std::lock_guard lock(mutex_);
            commands_.push_back(*line);
        }
        const auto reply = answer(*line);
        if (*line == "QUIT") return;
        if (*line != "DATA" || !reply.starts_with("354")) continue;
        for (line = read_line(); line && *line != "."; line = read_line())
            mail.data += line->substr(line->starts_with('.') ? 1 : 0) + "\r\n";
        if (!line) return;
        const bool taken = answer(".").starts_with("250");
        const std::lock_guard lock(mutex_);
        if (taken) mails_.push_back(std::exchange(mail, {}));
    }
}

std::string SmtpSink::reply_to(const std::string& line, Mail& mail)
{
    if (line.empty()) return "220 sink.example ESMTP";
    if (line.starts_with("EHLO ")) return "250-sink.example\r\n250-AUTH PLAIN\r\n250 SIZE 10000000";
    if (line == "AUTH PLAIN") return "334 ";
    if (line.starts_with("AUTH ")) return "235 2.7.0 authenticated";
    if (line == "DATA") return "354 go on";
    if (line == "QUIT") return "221 bye";
    if (line.starts_with("MAIL FROM:")) {
        mail = {.from = line.substr(10), .to = {}, .data = {}};
        return "250 ok";
    }
    if (line.starts_with("RCPT TO:")) mail.to.push_back(line.substr(8));
    // What follows AUTH PLAIN has no blank and no verb.
    if (line.size() > 8 && line.find(' ') == std::string::npos) return "235 2.7.0 authenticated";
    return "250 ok";
}

} // namespace hotspare::test

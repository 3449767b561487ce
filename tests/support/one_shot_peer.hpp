// A server for one connection that says what it was told to, whatever it is asked, for clients that must survive
// anything: it accepts, reads a little, sends its answer, and ends the connection.
//
// Thread: one of its own; received() after the client is done. The destructor waits until a client has connected and,
// with End::hold, has gone again.
#pragma once

#include "tests/support/socket.hpp"

#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include <sys/socket.h>

namespace hotspare::test {

class OneShotPeer {
public:
    enum class End {
        close,
        reset, ///< with RST
        hold,  ///< not before the client does
    };

    OneShotPeer(std::string answer, End end)
        : thread_([this, answer = std::move(answer), end] {
              Fd connection(::accept(listener_.get(), nullptr, nullptr));
              received_.resize(64 * 1024);
              const auto count = ::recv(connection.get(), received_.data(), received_.size(), 0);
              received_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
              (void)send_all(connection, answer, Clock::now() + patience);
              if (end == End::reset) connection.reset();
              char rest = 0;
              if (end == End::hold) ::recv(connection.get(), &rest, 1, 0);
          })
    {
    }
    ~OneShotPeer() { thread_.join(); }

    OneShotPeer(const OneShotPeer&) = delete;
    OneShotPeer& operator=(const OneShotPeer&) = delete;

    std::uint16_t port() const { return local_port(listener_); }
    const std::string& received() const { return received_; }

private:
    Fd listener_ = listen_loopback(0);
    std::string received_;
    std::thread thread_;
};

} // namespace hotspare::test

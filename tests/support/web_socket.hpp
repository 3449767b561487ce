// A WebSocket client as a browser would be one, on Beast, which takes ten seconds to compile: here, once.
//
// Blocking; for one thread. Its functions throw std::exception when the connection ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace hotspare::test {

class WebSocketClient {
public:
    /// Connects to 127.0.0.1 and is through with the handshake.
    WebSocketClient(std::uint16_t port, const std::string& host, const std::string& path);
    ~WebSocketClient();
    WebSocketClient(const WebSocketClient&) = delete;
    WebSocketClient& operator=(const WebSocketClient&) = delete;

    void send(const std::string& text);
    /// The next message, which must be a text.
    std::string read();
    /// Says goodbye and waits until the server has.
    void close();

private:
    struct Beast;
    std::unique_ptr<Beast> beast_;
};

} // namespace hotspare::test

#include "tests/support/web_socket.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include <stdexcept>

namespace hotspare::test {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;

struct WebSocketClient::Beast {
    asio::io_context context;
    websocket::stream<asio::ip::tcp::socket> stream{context};
};

WebSocketClient::WebSocketClient(std::uint16_t port, const std::string& host, const std::string& path)
    : beast_(std::make_unique<Beast>())
{
    beast_->stream.next_layer().connect({asio::ip::address_v4::loopback(), port});
    beast_->stream.handshake(host, path);
}

WebSocketClient::~WebSocketClient() = default;

void WebSocketClient::send(const std::string& text)
{
    beast_->stream.write(asio::buffer(text));
}

std::string WebSocketClient::read()
{
    boost::beast::flat_buffer buffer;
    beast_->stream.read(buffer);
    if (!beast_->stream.got_text()) throw std::runtime_error("the message is not a text");
    return boost::beast::buffers_to_string(buffer.data());
}

void WebSocketClient::close()
{
    beast_->stream.close(websocket::close_code::normal);
}

} // namespace hotspare::test

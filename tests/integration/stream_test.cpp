// A connection to a backend whose name has several addresses.
#include "balancer/serve/stream.hpp"

#include "tests/support/socket.hpp"

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace hotspare::balancer {
namespace {

struct Listener : StreamListener {
    void stream_ready(Stream&) override { ++told; }
    int told = 0;
};

tcp::endpoint loopback(std::uint16_t port)
{
    return {asio::ip::address_v4::loopback(), port};
}

/// A port that is taken and on which no connection is accepted.
struct Refusing {
    test::Fd socket = test::bind_loopback(0);
    tcp::endpoint address = loopback(test::local_port(socket));
};

error_code connect(const std::vector<tcp::endpoint>& addresses)
{
    asio::io_context context(1);
    Listener listener;
    const auto stream = Stream::make(Stream::Socket(context.get_executor()));
    stream->listen(&listener);
    stream->connect(addresses);
    context.run();
    EXPECT_FALSE(stream->connecting());
    EXPECT_EQ(listener.told, 1);
    const auto error = stream->connect_error();
    stream->close();
    return error;
}

TEST(Stream, ConnectsToTheFirstAddressThatTakesTheConnection)
{
    const Refusing refusing, another;
    const test::Fd listening = test::listen_loopback(0);
    const auto good = loopback(test::local_port(listening));
    EXPECT_EQ(connect({good, refusing.address}), error_code());
    EXPECT_EQ(connect({refusing.address, another.address, good}), error_code());
}

TEST(Stream, TellsTheErrorOfItsFirstAddressWhenNoneTakesTheConnection)
{
    const Refusing refusing, another;
    EXPECT_EQ(connect({refusing.address, another.address}), asio::error::connection_refused);
    EXPECT_EQ(connect({}), asio::error::host_not_found);
}

} // namespace
} // namespace hotspare::balancer

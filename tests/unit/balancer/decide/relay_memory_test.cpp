#include "balancer/decide/relay_memory.hpp"
#include "balancer/serve/buffer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

constexpr std::size_t mebibyte = 1024 * 1024;

TEST(PieceSize, StartsLargeForABodyWithALengthAndSmallForAStream)
{
    PieceSize piece;
    piece.restart(true);
    EXPECT_EQ(piece.next(), relay_window);
    piece.restart(false);
    EXPECT_EQ(piece.next(), read_ahead);
}

TEST(PieceSize, ReadsOnlyWhatMayWaitInMemory)
{
    PieceSize piece;
    piece.restart(true);
    EXPECT_FALSE(piece.peeks(1));
    EXPECT_FALSE(piece.peeks(read_ahead));
    EXPECT_TRUE(piece.peeks(read_ahead + 1));
    EXPECT_TRUE(piece.peeks(relay_window));

    piece.moved(relay_window, 100);
    EXPECT_TRUE(piece.peeks(1)) << "the sink did not take all of the piece before";
    piece.moved(1, 1);
    EXPECT_FALSE(piece.peeks(1));
}

TEST(PieceSize, GrowsWhileFullPiecesAreTakenWhole)
{
    PieceSize piece;
    piece.restart(false);
    for (int i = 0; i < 10; ++i) piece.moved(piece.next(), piece.next());
    EXPECT_EQ(piece.next(), relay_window);

    piece.restart(false);
    for (int i = 0; i < 10; ++i) piece.moved(100, 100); // small messages
    EXPECT_EQ(piece.next(), read_ahead);
}

TEST(PieceSize, FollowsWhatASlowSinkTakes)
{
    PieceSize piece;
    piece.restart(true);
    piece.moved(relay_window, 100'000);
    EXPECT_EQ(piece.next(), 7 * read_ahead);
    piece.moved(piece.next(), 1);
    EXPECT_EQ(piece.next(), read_ahead);
    piece.moved(piece.next(), 0);
    EXPECT_EQ(piece.next(), read_ahead);
    piece.moved(piece.next(), piece.next());
    EXPECT_GT(piece.next(), read_ahead);
}

TEST(RelayMemory, IsFullAtTheWorkersShare)
{
    RelayMemory memory(2 * mebibyte, 2);
    memory.change(0, mebibyte - 1);
    EXPECT_FALSE(memory.full());
    EXPECT_EQ(memory.replayable(64 * 1024), 64U * 1024);
    EXPECT_GT(memory.most_waiting(), 0U);

    memory.change(0, 1);
    EXPECT_EQ(memory.held(), mebibyte);
    EXPECT_TRUE(memory.full());
    // One small piece each, so that no request waits for another one.
    EXPECT_EQ(memory.replayable(64 * 1024), read_ahead);
    EXPECT_EQ(memory.replayable(100), 100U);
    EXPECT_EQ(memory.most_waiting(), 0U);

    memory.change(1, 0);
    EXPECT_FALSE(memory.full());
}

TEST(RelayMemory, TrimsTheHeapOnceWhenMuchWasFreed)
{
    RelayMemory memory(256 * mebibyte, 1);
    const TimePoint start{seconds(100)};
    memory.freed(RelayMemory::worth_trimming - 1);
    EXPECT_FALSE(memory.trim_due(start));
    memory.freed(1);
    EXPECT_TRUE(memory.trim_due(start));
    EXPECT_FALSE(memory.trim_due(start + seconds(60))) << "nothing was freed since";
}

TEST(RelayMemory, TrimsAtMostOnceInTheIntervalOfAllWorkers)
{
    constexpr unsigned workers = 4;
    RelayMemory memory(256 * mebibyte, workers);
    const TimePoint start{seconds(100)};
    memory.freed(50 * mebibyte);
    ASSERT_TRUE(memory.trim_due(start));
    memory.freed(50 * mebibyte);
    EXPECT_FALSE(memory.trim_due(start + RelayMemory::trim_interval * workers - milliseconds(1)));
    EXPECT_TRUE(memory.trim_due(start + RelayMemory::trim_interval * workers));
}

TEST(Buffer, ShrinksToTheBytesThatAreThere)
{
    const std::string text(5000, 'x');
    Buffer buffer;
    buffer.prepare(64 * 1024);
    buffer.append("gone");
    buffer.append(text);
    buffer.consume(4);
    buffer.shrink();
    EXPECT_EQ(buffer.text(), text);
    EXPECT_EQ(buffer.capacity(), text.size());
    buffer.append("more");
    EXPECT_EQ(buffer.text(), text + "more");
    buffer.consume(buffer.size());
    buffer.shrink();
    EXPECT_EQ(buffer.capacity(), 0U);
    EXPECT_TRUE(buffer.empty());
    buffer.append("again");
    EXPECT_EQ(buffer.text(), "again");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer

#include "monitor/history/audit_chain.hpp"

#include "tests/support/property.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

struct Log {
    std::vector<ChainedEntry> entries{};
    AuditHead head{};

    explicit Log(std::size_t size)
    {
        for (std::size_t i = 0; i < size; ++i)
            entries.push_back(chain(head, {.at = Instant(milliseconds(1'000 + i)),
                                           .user = "ada",
                                           .address = "192.0.2.7",
                                           .action = "window.create",
                                           .target = fmt::format("window {}", i),
                                           .detail = "Disks."}));
    }

    std::optional<Breach> verify() const
    {
        AuditVerifier verifier;
        for (const auto& entry : entries)
            if (auto breach = verifier.next(entry)) return breach;
        return verifier.end(head);
    }
};

TEST(AuditChain, HoldsAsItWasWritten)
{
    EXPECT_FALSE(Log(0).verify());
    EXPECT_FALSE(Log(1).verify());
    const Log log(50);
    EXPECT_FALSE(log.verify());
    EXPECT_EQ(log.head.number, 50U);
    EXPECT_EQ(log.entries.back().hash, log.head.hash);
}

/// A change of the format would turn every log that exists into a broken one.
TEST(AuditChain, WritesAnEntryInOneWayOnly)
{
    AuditHead head;
    const auto chained = chain(head, {.at = Instant(milliseconds(5)), .user = "a\"b", .action = "x", .detail = "é\n"});
    EXPECT_EQ(canonical(chained.entry),
              R"({"number":1,"at":5,"user":"a\"b","address":"","action":"x","target":"","detail":"é\n"})");
    EXPECT_EQ(chained.hash, "2ec4f902733a4cb3be6ee088b00dc0e0c2b8ab05588f9a20fb13068a1efe9ce1");
}

TEST(AuditChain, FindsTheFirstEntryThatWasChanged)
{
    const auto change = [](auto&& how) {
        Log log(5);
        how(log.entries[2].entry);
        const auto breach = log.verify();
        ASSERT_TRUE(breach);
        EXPECT_EQ(breach->number, 3U);
        EXPECT_EQ(breach->what, "entry 3 was changed, or entry 2 along with its hash");
    };
    change([](AuditEntry& e) { e.at += milliseconds(1); });
    change([](AuditEntry& e) { e.user = "eve"; });
    change([](AuditEntry& e) { e.address = ""; });
    change([](AuditEntry& e) { e.action = "window.cancel"; });
    change([](AuditEntry& e) { std::swap(e.target, e.detail); });
    change([](AuditEntry& e) { e.detail += ' '; });
    change([](AuditEntry& e) { e.detail += '\xff'; });
}

TEST(AuditChain, FindsWhatIsMissingMovedOrTooMuch)
{
    Log log(5);
    log.entries.erase(log.entries.begin() + 1);
    EXPECT_EQ(log.verify().value().what, "entry 2 is missing: entry 3 follows entry 1");
    log = Log(5);
    std::swap(log.entries[2].entry, log.entries[3].entry);
    std::swap(log.entries[2].entry.number, log.entries[3].entry.number); // as if they had always been so
    EXPECT_EQ(log.verify().value().number, 3U);
    log = Log(5);
    log.entries.insert(log.entries.begin() + 3, log.entries[2]);
    EXPECT_EQ(log.verify().value().what, "entry 3 stands in the place of entry 4");
    log = Log(5);
    log.entries.pop_back();
    EXPECT_EQ(log.verify().value().what, "the log ends with entry 4, and once ended with entry 5");
    log.entries.clear();
    EXPECT_EQ(log.verify().value().number, 1U);
    log = Log(5);
    AuditHead longer = log.head;
    log.entries.push_back(chain(longer, {.user = "eve"}));
    EXPECT_EQ(log.verify().value().what, "the log has entries after entry 5, which is stored as the last one");
}

/// With an entry whose hash was computed anew, the next one does not hold.
TEST(AuditChain, FindsAnEntryThatWasHashedAgainByTheNextOne)
{
    Log log(5);
    AuditHead before{2, log.entries[1].hash};
    log.entries[2] = chain(before, {.user = "eve"});
    EXPECT_EQ(log.verify().value().number, 4U);
    log = Log(5);
    before = {4, log.entries[3].hash};
    log.entries[4] = chain(before, {.user = "eve"});
    EXPECT_EQ(log.verify().value().what, "entry 5 has another hash than the one stored as the last");
}

TEST(AuditChain, KeepsTextsThatAreTooLongOrNoUtf8InPart)
{
    AuditHead head;
    const auto chained =
        chain(head, {.user = std::string(1'000, 'u'), .detail = "a\xff\xfe" + std::string(99'999, 'd')});
    EXPECT_LE(chained.entry.user.size(), longest_audit_word + 3);
    EXPECT_LE(chained.entry.detail.size(), longest_audit_detail + 3);
    EXPECT_TRUE(chained.entry.detail.starts_with(R"(a\xff\xfed)"));
    AuditVerifier verifier;
    EXPECT_FALSE(verifier.next(chained));
    EXPECT_FALSE(verifier.end(head));
}

TEST(AuditChain, FindsAnyOneChange)
{
    test::check_property(500, [] {
        Log log(8);
        const auto at = *rc::gen::inRange<std::size_t>(0, 8);
        const auto other = *rc::gen::inRange<std::size_t>(0, 8);
        const auto byte = static_cast<char>(*rc::gen::inRange(1, 256));
        auto& entry = log.entries[at];
        switch (*rc::gen::inRange(0, 5)) {
        case 0: entry.entry.detail[0] = static_cast<char>(entry.entry.detail[0] ^ byte); break;
        case 1: entry.hash[5] = static_cast<char>(entry.hash[5] ^ byte); break;
        case 2: log.entries.erase(log.entries.begin() + static_cast<std::ptrdiff_t>(at)); break;
        case 3: entry.entry.number += 1 + other; break;
        default: RC_PRE(at != other); std::swap(log.entries[at], log.entries[other]);
        }
        const auto breach = log.verify();
        RC_ASSERT(breach.has_value());
        RC_ASSERT(breach->number >= std::min(at, other) + 1);
        RC_ASSERT(breach->number <= std::max(at, other) + 2);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor

#include "orders/external_service/ledger.hpp"

#include "common/error.hpp"
#include "orders/external_service/validation.hpp"

#include "tests/support/full_disk.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders::external {
namespace TEST_FILE {

class LedgerTest : public testing::Test {
protected:
    std::vector<LedgerEntry> read()
    {
        std::vector<LedgerEntry> out;
        const Ledger ledger(path_, [&out](const LedgerEntry& entry) { out.push_back(entry); });
        return out;
    }
    std::string text() const
    {
        std::ifstream in(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary | std::ios::app) << bytes; }
    static LedgerEntry entry(std::optional<std::string> key, const std::string& order_id, std::uint32_t quantity = 1)
    {
        return {std::move(key), order_id, judge({order_id, "p", quantity}, 1000, 1'767'225'600'123)};
    }
    static void ignore(const LedgerEntry&) {}

    test::TempDir directory_;
    std::string path_ = (directory_.path() / "ledger").string();
};

TEST_F(LedgerTest, gives_back_what_it_was_given)
{
    const std::string odd = "line\nend \"quoted\" \xc3\xa9 \\";
    {
        Ledger ledger(path_, ignore);
        EXPECT_TRUE(ledger.add(entry("k-1", "a-1")));
        EXPECT_TRUE(ledger.add(entry(std::nullopt, odd, 1001)));
    }
    const auto entries = read();
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0].key, "k-1");
    EXPECT_EQ(entries[0].order_id, "a-1");
    EXPECT_TRUE(entries[0].effect.valid);
    EXPECT_EQ(entries[0].effect.at_ms, 1'767'225'600'123);
    EXPECT_EQ(entries[0].effect.stock, 1000U);
    EXPECT_EQ(entries[0].effect.body, digest_of({"a-1", "p", 1}));
    EXPECT_FALSE(entries[1].key);
    EXPECT_EQ(entries[1].order_id, odd);
    EXPECT_FALSE(entries[1].effect.valid);
    EXPECT_TRUE(text().starts_with(R"({"key":"k-1","order_id":"a-1","verdict":"Validated","at_ms":1767225600123,)"));
}

TEST_F(LedgerTest, reads_many_lines)
{
    {
        Ledger ledger(path_, ignore);
        for (int i = 0; i < 2000; ++i) ASSERT_TRUE(ledger.add(entry("k-" + std::to_string(i), std::string(50, 'o'))));
    }
    const auto entries = read();
    ASSERT_EQ(entries.size(), 2000U);
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(entries[static_cast<std::size_t>(i)].key, "k-" + std::to_string(i));
}

TEST_F(LedgerTest, removes_a_last_line_that_is_not_complete)
{
    {
        Ledger ledger(path_, ignore);
        ASSERT_TRUE(ledger.add(entry("k-1", "a-1")));
    }
    const auto whole = text();
    write(whole.substr(0, whole.size() - 1));
    {
        Ledger ledger(path_, ignore);
        EXPECT_EQ(text(), whole);
        ASSERT_TRUE(ledger.add(entry("k-2", "a-2")));
    }
    const auto entries = read();
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[1].key, "k-2");
}

TEST_F(LedgerTest, refuses_a_file_that_is_no_ledger)
{
    for (const char* line : {"hello\n", "{}\n",
                             R"({"key":1,"order_id":"a","verdict":"Validated","at_ms":1,"stock":1,"body":""})"
                             "\n",
                             R"({"key":null,"order_id":"a","verdict":"Perhaps","at_ms":1,"stock":1,)"
                             R"("body":"f81d4fae-7dec-51d0-a765-00a0c91e6bf6"})"
                             "\n"}) {
        ASSERT_TRUE(Ledger(path_, ignore).add(entry("k", "a")));
        const auto before = text();
        write(line);
        try {
            read();
            FAIL() << line;
        } catch (const UsageError& e) {
            EXPECT_NE(std::string(e.what()).find("/ledger:2: "), std::string::npos) << e.what();
        }
        EXPECT_EQ(text(), before + line) << "it is left as it is";
        std::ofstream(path_, std::ios::trunc).flush();
    }
    write(std::string(100'000, 'x'));
    EXPECT_THROW(read(), UsageError);
    EXPECT_THROW(Ledger("/nowhere/ledger", ignore), UsageError);
}

TEST_F(LedgerTest, belongs_to_one_process_at_a_time)
{
    const Ledger ledger(path_, ignore);
    EXPECT_THROW(Ledger(path_, ignore), UsageError);
}

TEST_F(LedgerTest, leaves_no_part_of_a_line_when_there_is_no_room)
{
    Ledger ledger(path_, ignore);
    ASSERT_TRUE(ledger.add(entry("k-1", "a-1")));
    const auto before = text();
    {
        const test::FullDisk full(before.size() + 10);
        EXPECT_FALSE(ledger.add(entry("k-2", "a-2")));
        EXPECT_FALSE(ledger.add(entry("k-3", "a-3")));
    }
    EXPECT_EQ(text(), before);
    EXPECT_TRUE(ledger.add(entry("k-4", "a-4")));
    EXPECT_EQ(text().size(), 2 * before.size());
}

} // namespace TEST_FILE
} // namespace hotspare::orders::external

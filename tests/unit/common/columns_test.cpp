#include "common/columns.hpp"

#include <gtest/gtest.h>

namespace hotspare {
namespace TEST_FILE {

TEST(Columns, PutsTheMeaningBesideTheName)
{
    EXPECT_EQ(in_columns("  --port", "where it listens", 12), "  --port    where it listens\n");
    EXPECT_EQ(in_columns("  --port", "", 12), "  --port\n");
}

TEST(Columns, BreaksBetweenWords)
{
    EXPECT_EQ(in_columns("a", "one two three four", 4, 12), "a   one two\n    three\n    four\n");
    EXPECT_EQ(in_columns("a", "overlongword b", 4, 10), "a   overlongword\n    b\n");
}

TEST(Columns, GivesALongNameALineOfItsOwn)
{
    EXPECT_EQ(in_columns("  --a-long-name", "what it is", 8), "  --a-long-name\n        what it is\n");
    EXPECT_EQ(in_columns("  --abc", "x", 8), "  --abc\n        x\n") << "two blanks between them";
}

} // namespace TEST_FILE
} // namespace hotspare

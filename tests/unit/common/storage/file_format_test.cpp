#include "common/storage/file_format.hpp"

#include <gtest/gtest.h>

namespace hotspare::storage {
namespace TEST_FILE {

const FileFormat ours{.name = "the orders of order_service",
                      .application_id = 0x6873'6f72,
                      .tables_without_id = {"events", "orders"},
                      .version_without_id = 2};

TEST(FileFormat, TakesAnEmptyDatabase)
{
    EXPECT_FALSE(why_foreign({}, ours));
}

TEST(FileFormat, TakesAFileWithItsOwnIdWhateverIsInIt)
{
    EXPECT_FALSE(why_foreign({.application_id = ours.application_id}, ours));
    EXPECT_FALSE(why_foreign(
        {.application_id = ours.application_id, .user_version = 9, .tables = {"orders", "of a later version"}}, ours));
}

TEST(FileFormat, TakesAFileThatWasMadeBeforeFilesHadAnId)
{
    EXPECT_FALSE(why_foreign({.user_version = 2, .tables = {"events", "orders"}}, ours));
}

TEST(FileFormat, RefusesTheTablesOfAnotherProgram)
{
    EXPECT_EQ(why_foreign({.tables = {"customers"}}, ours), "its table 'customers' belongs to another program");
    EXPECT_TRUE(why_foreign({.user_version = 2, .tables = {"orders"}}, ours)) << "a table of the same name";
    EXPECT_TRUE(why_foreign({.user_version = 2, .tables = {"customers", "events", "orders"}}, ours)) << "and one more";
    EXPECT_TRUE(why_foreign({.user_version = 0, .tables = {"events", "orders"}}, ours)) << "and no version";
}

TEST(FileFormat, RefusesTheMarkOfAnotherProgramAlsoWithoutTables)
{
    EXPECT_EQ(why_foreign({.application_id = 0x68736466}, ours),
              "its application id is 0x68736466, that of the orders of order_service is 0x68736f72");
    EXPECT_EQ(why_foreign({.user_version = 7}, ours), "its user_version is 7, set by another program");
    EXPECT_TRUE(why_foreign({.application_id = 1, .user_version = 2, .tables = {"events", "orders"}}, ours));
}

} // namespace TEST_FILE
} // namespace hotspare::storage

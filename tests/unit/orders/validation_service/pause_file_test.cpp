#include "orders/validation_service/pause_file.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace hotspare::orders {
namespace TEST_FILE {

class PauseFileTest : public testing::Test {
protected:
    test::TempDir folder_;
    const std::string path_ = (folder_.path() / "worker.state").string();
};

TEST_F(PauseFileTest, KeepsTheOperatorsWord)
{
    EXPECT_FALSE(PauseFile(path_).load()) << "there is none";
    for (const bool paused : {true, true, false, true}) {
        EXPECT_TRUE(PauseFile(path_).store(paused));
        EXPECT_EQ(PauseFile(path_).load(), paused);
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1) << "nothing is left beside it";
}

TEST_F(PauseFileTest, IsFoundAsItWasAfterAnEndInTheMiddleOfWriting)
{
    ASSERT_TRUE(PauseFile(path_).store(true));
    folder_.write("worker.state.part", "{\"pau");
    EXPECT_TRUE(PauseFile(path_).load());
    EXPECT_TRUE(PauseFile(path_).store(false));
    EXPECT_FALSE(PauseFile(path_).load());
}

TEST_F(PauseFileTest, RefusesWhatIsNotItsOwn)
{
    for (const auto* text :
         {"", "{}", "true", "{\"paused\":1}", "{\"paused\":true,\"paused\":false}", "SQLite format 3"}) {
        folder_.write("worker.state", text);
        EXPECT_THROW((void)PauseFile(path_).load(), UsageError) << text;
    }
    EXPECT_THROW((void)PauseFile(folder_.path().string()).load(), UsageError);
}

TEST_F(PauseFileTest, SaysWhenItCannotBeWritten)
{
    EXPECT_FALSE(PauseFile((folder_.path() / "nowhere" / "state").string()).store(true));
}

TEST_F(PauseFileTest, WithoutAPathKeepsNothing)
{
    EXPECT_TRUE(PauseFile("").store(true));
    EXPECT_FALSE(PauseFile("").load());
}

} // namespace TEST_FILE
} // namespace hotspare::orders

#include "common/storage/database_file.hpp"

#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>

namespace hotspare::storage {
namespace TEST_FILE {

namespace fs = std::filesystem;

const FileFormat ours{.name = "our things", .application_id = 0x1234'5678};
const FileFormat plain{.name = "tables", .tables_without_id = {"t"}};
const FileFormat theirs{.name = "their things", .application_id = 0x0bad'0bad};

class DatabaseFileTest : public testing::Test {
protected:
    /// As another program makes a database; closed when it returns.
    void make(const std::string& sql) const
    {
        auto database = Database::open(path_, seconds(1)).value();
        ASSERT_TRUE(database.execute(sql));
    }

    /// Every file of the folder and what is in it.
    std::map<std::string, std::string> folder() const
    {
        std::map<std::string, std::string> out;
        for (const auto& entry : fs::directory_iterator(directory_.path())) {
            std::ifstream file(entry.path(), std::ios::binary);
            out[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(file), {});
        }
        return out;
    }

    void expect_refused_unchanged()
    {
        const auto before = folder();
        EXPECT_THROW(DatabaseFile(path_, ours, DatabaseFile::Use::alone), UsageError);
        EXPECT_THROW(DatabaseFile(path_, ours, DatabaseFile::Use::shared), UsageError);
        EXPECT_EQ(folder(), before);
    }

    test::TempDir directory_;
    std::string path_ = (directory_.path() / "a # file?.sqlite").string();
};

TEST_F(DatabaseFileTest, LeavesTheFileOfAnotherProgramAsItWas)
{
    make("CREATE TABLE customers (name); PRAGMA user_version = 7");
    expect_refused_unchanged();
}

TEST_F(DatabaseFileTest, LeavesAFileInWriteAheadModeAsItWas)
{
    make("PRAGMA journal_mode = WAL; CREATE TABLE customers (name)");
    ASSERT_EQ(folder().size(), 1U) << "the log went when it was closed";
    expect_refused_unchanged();
}

TEST_F(DatabaseFileTest, LeavesAFileWhoseTablesAreOnlyInItsLogAsItWas)
{
    auto other = Database::open(path_, seconds(1)).value();
    ASSERT_TRUE(other.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE customers (n)"));
    expect_refused_unchanged();
}

TEST_F(DatabaseFileTest, RefusesAFolderAndWhatIsNoDatabase)
{
    EXPECT_THROW(DatabaseFile(directory_.path().string(), ours, DatabaseFile::Use::alone), UsageError);
    EXPECT_THROW(DatabaseFile(directory_.write("text", std::string(4096, 'x')), ours, DatabaseFile::Use::alone),
                 UsageError);
}

TEST_F(DatabaseFileTest, MarksWhatItClaimsSoThatNoOtherFormatTakesIt)
{
    {
        DatabaseFile file(path_, theirs, DatabaseFile::Use::shared);
        auto database = Database::open(path_, seconds(1)).value();
        auto transaction = Transaction::begin(database);
        file.claim(database);
        ASSERT_TRUE(database.execute("CREATE TABLE t (x)"));
        ASSERT_TRUE(transaction->commit());
        EXPECT_NO_THROW(DatabaseFile(path_, theirs, DatabaseFile::Use::shared));
    }
    expect_refused_unchanged();
}

TEST_F(DatabaseFileTest, ClaimsNothingThatAnotherProgramMadeMeanwhile)
{
    const DatabaseFile file(path_, ours, DatabaseFile::Use::alone); // creates it, empty
    make("CREATE TABLE customers (name)");
    auto database = Database::open(path_, seconds(1)).value();
    EXPECT_THROW(file.claim(database), UsageError);
}

TEST_F(DatabaseFileTest, LetsNoSecondUserInByAnyName)
{
    const DatabaseFile file(path_, ours, DatabaseFile::Use::alone);
    const auto other = [this](const char* name) { return directory_.path() / name; };
    fs::create_symlink(path_, other("symlink"));
    fs::create_hard_link(path_, other("hard link"));
    const auto relative = fs::relative(path_);
    for (const auto& name : {fs::path(path_), other("symlink"), other("hard link"), relative,
                             directory_.path() / "." / fs::path(path_).filename()})
        EXPECT_THROW(DatabaseFile(name.string(), ours, DatabaseFile::Use::alone), StartupError) << name;
}

TEST_F(DatabaseFileTest, LetsTheNextUserInWhenTheFirstHasGone)
{
    std::make_optional<DatabaseFile>(path_, ours, DatabaseFile::Use::alone).reset();
    EXPECT_NO_THROW(DatabaseFile(path_, ours, DatabaseFile::Use::alone));
}

TEST_F(DatabaseFileTest, NoticesThatItsNameLeadsElsewhere)
{
    make("CREATE TABLE t (x)");
    const auto aside = path_ + ".aside";
    DatabaseFile file(path_, plain, DatabaseFile::Use::shared);
    file.watch({});
    EXPECT_TRUE(file.verify());
    EXPECT_FALSE(file.trouble());

    fs::rename(path_, aside);
    EXPECT_EQ(file.verify().error(), errc::unavailable);
    EXPECT_EQ(file.trouble(), "a # file?.sqlite was deleted or renamed");

    fs::copy_file(aside, path_);
    EXPECT_EQ(file.verify().error(), errc::unavailable);
    EXPECT_EQ(file.trouble(), "a # file?.sqlite was replaced by another file");

    fs::rename(aside, path_);
    EXPECT_TRUE(file.verify()) << "the open file is back";
    EXPECT_FALSE(file.trouble());
}

TEST_F(DatabaseFileTest, WatchesTheFilesBesideIt)
{
    make("CREATE TABLE t (x)");
    directory_.write("a # file?.sqlite-wal", "");
    DatabaseFile file(path_, plain, DatabaseFile::Use::shared);
    file.watch({"-wal"});
    EXPECT_TRUE(file.verify());
    fs::remove(path_ + "-wal");
    EXPECT_EQ(file.verify().error(), errc::unavailable);
    EXPECT_EQ(file.trouble(), "a # file?.sqlite-wal was deleted or renamed");
}

} // namespace TEST_FILE
} // namespace hotspare::storage

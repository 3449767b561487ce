// The house rules (CONTRIBUTING.md) as functions over the source tree: each returns the violations that it found, one
// sentence per violation with file and line. A rule knows nothing of the tree's place, so that it can be shown a forged
// tree with a known sin and must find it.
//
// Thread: none. Values.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace hotspare::rules {

struct SourceFile {
    std::string path; ///< relative to the root, with '/'
    std::string text;
    std::string code; ///< `text` with comments and literals blanked out, same lines
};

struct Include {
    int line = 0;
    std::string what; ///< as written, without its brackets or quotes
    bool quoted = false;
};

class SourceTree {
public:
    /// Reads every .cpp and .hpp of the source folders below `root`, and remembers `root` for documents.
    explicit SourceTree(const std::string& root);

    const std::vector<SourceFile>& files() const noexcept { return files_; }
    const SourceFile* find(const std::string& path) const;
    const std::string& root() const noexcept { return root_; }
    /// Text of any file; empty if it does not exist.
    std::string read(const std::string& path) const;

private:
    std::string root_;
    std::vector<SourceFile> files_;
};

using Violations = std::vector<std::string>;

std::vector<Include> includes_of(const SourceFile& file);

/// common/ includes nothing of the suite, a program only itself and common/, the test support only itself.
Violations include_directions(const SourceTree& tree);
/// The mermaid diagram marked `%% includes` in `document` shows exactly the edges that the code has.
Violations include_diagram(const SourceTree& tree, const std::string& document);
/// The same of the rooms of a folder, which are the folders in it: the diagram marked `%% rooms of FOLDER` has a node
/// for each of them, its edges are exactly those that the code has, and they form no cycle. FOLDER/main.cpp includes
/// what it likes. The other files straight in the folder are a node named FOLDER, if it is drawn; if not, every room
/// may include them, and they include no room that includes another.
Violations room_diagram(const SourceTree& tree, const std::string& document, const std::string& folder);

/// Paths without extension of the files that say of themselves that they are PURE.
std::set<std::string> pure_files(const SourceTree& tree);
/// Neither a pure file nor anything that it includes of the suite does I/O, logs, reads a clock or knows threads.
Violations purity(const SourceTree& tree);

/// Names and constructs that are banned, and how a header begins.
Violations banned_words(const SourceTree& tree);

/// Every source is in the compilation database `commands` (its text).
Violations everything_is_built(const SourceTree& tree, const std::string& commands);

/// "Suite.Name" of every test in the tree.
std::set<std::string> test_names(const SourceTree& tree);
/// Every row of a table of `document` that has a column "Test" names an existing one there.
Violations named_tests_exist(const SourceTree& tree, const std::string& document);

} // namespace hotspare::rules

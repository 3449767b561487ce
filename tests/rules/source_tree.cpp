#include "tests/rules/source_tree.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <regex>
#include <sstream>
#include <string_view>
#include <utility>

namespace hotspare::rules {
namespace {

namespace fs = std::filesystem;

constexpr std::array source_folders{"common",     "primary",    "spare",      "balancer", "orders", "monitor",
                                    "reconciler", "supervisor", "experiment", "bench",    "tests"};

std::string read_file(const fs::path& path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Blanks comments, string and character literals, raw strings included; keeps line ends and #include lines' names.
std::string strip(const std::string& text)
{
    std::string out = text;
    const auto blank = [&](std::size_t from, std::size_t to) {
        for (std::size_t i = from; i < to && i < out.size(); ++i)
            if (out[i] != '\n') out[i] = ' ';
    };
    for (std::size_t i = 0; i < text.size();) {
        if (text.compare(i, 2, "//") == 0) {
            const auto end = std::min(text.find('\n', i), text.size());
            blank(i, end);
            i = end;
        } else if (text.compare(i, 2, "/*") == 0) {
            const auto end = std::min(text.find("*/", i + 2), text.size() - 2) + 2;
            blank(i, end);
            i = end;
        } else if (text.compare(i, 2, "R\"") == 0) {
            const auto open = text.find('(', i);
            const std::string close = ")" + text.substr(i + 2, open - i - 2) + "\"";
            const auto end = std::min(text.find(close, open), text.size() - close.size()) + close.size();
            blank(i, end);
            i = end;
        } else if (text[i] == '"' ||
                   (text[i] == '\'' && (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1]))))) {
            std::size_t end = i + 1;
            while (end < text.size() && text[end] != text[i] && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
            blank(i + 1, end);
            i = end + 1;
        } else {
            ++i;
        }
    }
    return out;
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::string folder_of(const std::string& path)
{
    return path.substr(0, path.find('/'));
}

std::string without_extension(const std::string& path)
{
    return path.substr(0, path.rfind('.'));
}

std::string at(const SourceFile& file, int line)
{
    return file.path + ":" + std::to_string(line) + ": ";
}

std::string trim(std::string_view s)
{
    while (!s.empty() && std::string_view(" \t`\"").find(s.front()) != std::string_view::npos) s.remove_prefix(1);
    while (!s.empty() && std::string_view(" \t`\"").find(s.back()) != std::string_view::npos) s.remove_suffix(1);
    return std::string(s);
}

/// Calls `found(line number, match)` for every match of `pattern` in the code of `file`.
void search(const SourceFile& file, const std::regex& pattern,
            const std::function<void(int, const std::string&)>& found)
{
    int number = 0;
    for (const std::string& line : lines_of(file.code)) {
        ++number;
        for (std::sregex_iterator m(line.begin(), line.end(), pattern), end; m != end; ++m) found(number, m->str());
    }
}

} // namespace

SourceTree::SourceTree(const std::string& root) : root_(root)
{
    for (const char* folder : source_folders) {
        const fs::path top = fs::path(root) / folder;
        if (!fs::exists(top)) continue;
        for (const auto& entry : fs::recursive_directory_iterator(top)) {
            const auto extension = entry.path().extension();
            if (!entry.is_regular_file() || (extension != ".cpp" && extension != ".hpp")) continue;
            SourceFile file;
            file.path = fs::relative(entry.path(), root).generic_string();
            file.text = read_file(entry.path());
            file.code = strip(file.text);
            files_.push_back(std::move(file));
        }
    }
    std::sort(files_.begin(), files_.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
}

const SourceFile* SourceTree::find(const std::string& path) const
{
    const auto it = std::find_if(files_.begin(), files_.end(), [&](const SourceFile& f) { return f.path == path; });
    return it == files_.end() ? nullptr : &*it;
}

std::string SourceTree::read(const std::string& path) const
{
    return read_file(fs::path(root_) / path);
}

std::vector<Include> includes_of(const SourceFile& file)
{
    static const std::regex pattern(R"re(^\s*#\s*include\s*(["<])([^">]+)[">])re");
    std::vector<Include> found;
    int number = 0;
    for (const std::string& line : lines_of(file.text)) {
        ++number;
        std::smatch m;
        if (line.find("include") != std::string::npos && std::regex_search(line, m, pattern))
            found.push_back({number, m[2], m[1] == "\""});
    }
    return found;
}

Violations include_directions(const SourceTree& tree)
{
    Violations violations;
    for (const SourceFile& file : tree.files()) {
        const std::string folder = folder_of(file.path);
        for (const Include& include : includes_of(file)) {
            const std::string target = folder_of(include.what);
            const bool ours = std::find(source_folders.begin(), source_folders.end(), target) != source_folders.end();
            if (!include.quoted) {
                if (ours && tree.find(include.what))
                    violations.push_back(at(file, include.line) +
                                         "a file of the suite is included in quotes: " + include.what);
                continue;
            }
            if (!tree.find(include.what)) {
                violations.push_back(at(file, include.line) +
                                     "no such file from the root of the tree: " + include.what);
                continue;
            }
            const bool support = file.path.starts_with("tests/support/");
            const bool allowed =
                support ? include.what.starts_with("tests/support/") || include.what.starts_with("common/process/")
                : folder == "tests" ? true
                                    : target == "common" || target == folder;
            if (!allowed)
                violations.push_back(at(file, include.line) + file.path + " must not include " + include.what);
        }
    }
    return violations;
}

namespace {

using Edges = std::set<std::pair<std::string, std::string>>;

struct Diagram {
    std::set<std::string> nodes;
    Edges edges; ///< between names of nodes
};

/// All mermaid blocks of `text` that have the line `%% MARK`, as one; nothing if there is none.
std::optional<Diagram> diagram_in(const std::string& text, const std::string& mark)
{
    static const std::regex node(R"re((\w+)\s*(?:[\[\(\{]+"?([^"\]\)\}]+)"?[\]\)\}]+)?)re");
    static const std::regex edge(R"re(^\s*(\w+\s*(?:[\[\(\{][^>]*[\]\)\}])?)\s*--+>\s*(\w+.*)$)re");

    bool in_block = false;
    bool marked = false;
    bool seen = false;
    std::map<std::string, std::string> names; // id -> path
    Edges drawn_ids;
    const auto learn = [&](const std::string& text_of_node) {
        std::smatch m;
        if (!std::regex_search(text_of_node, m, node)) return std::string();
        const std::string id = m[1];
        std::string name = m[2].matched ? trim(std::string(m[2])) : std::string();
        while (name.ends_with('/')) name.pop_back();
        if (!name.empty())
            names[id] = name;
        else
            names.emplace(id, id);
        return id;
    };
    for (const std::string& line : lines_of(text)) {
        if (line.starts_with("```")) {
            in_block = !in_block && line.starts_with("```mermaid");
            marked = false;
            continue;
        }
        if (!in_block) continue;
        if (trim(line) == "%% " + mark) {
            seen = marked = true;
            continue;
        }
        if (!marked) continue;
        std::smatch m;
        if (std::regex_match(line, m, edge)) {
            const std::string from = learn(m[1]);
            std::istringstream targets{m[2]}; // "a & b"
            for (std::string target; std::getline(targets, target, '&');) drawn_ids.emplace(from, learn(target));
        } else if (std::regex_search(line, std::regex(R"re(^\s*\w+\s*[\[\(\{])re"))) {
            learn(line);
        }
    }
    if (!seen) return std::nullopt;
    Diagram diagram;
    for (const auto& [id, name] : names) diagram.nodes.insert(name);
    for (const auto& [from, to] : drawn_ids) diagram.edges.emplace(names[from], names[to]);
    return diagram;
}

/// Edges of the code, each with an include that makes it.
using InCode = std::map<std::pair<std::string, std::string>, std::string>;

/// What is drawn and not in the code, or the other way round; `place` begins each sentence.
void compare(const std::string& place, const Edges& drawn, const InCode& in_code, Violations& violations)
{
    for (const auto& [pair, example] : in_code)
        if (!drawn.contains(pair))
            violations.push_back(place + "the diagram lacks " + pair.first + " --> " + pair.second + " (" + example +
                                 ")");
    for (const auto& pair : drawn)
        if (!in_code.contains(pair))
            violations.push_back(place + "the code has nothing like " + pair.first + " --> " + pair.second);
}

/// "decide" of "balancer/decide/failover.hpp"; "balancer" of a file straight in that folder.
std::string room_of(const std::string& path)
{
    const auto first = path.find('/');
    const auto second = path.find('/', first + 1);
    return second == std::string::npos ? path.substr(0, first) : path.substr(first + 1, second - first - 1);
}

} // namespace

Violations include_diagram(const SourceTree& tree, const std::string& document)
{
    const auto diagram = diagram_in(tree.read(document), "includes");
    if (!diagram) return {document + ": no mermaid diagram with the line `%% includes`, whose edges are `a --> b`"};

    // A file belongs to the most specific node that holds it.
    const auto node_of = [&](const std::string& path) {
        std::string best;
        for (const std::string& name : diagram->nodes)
            if ((path.starts_with(name + "/") || without_extension(path) == name) && name.size() > best.size())
                best = name;
        return best;
    };
    Violations violations;
    InCode in_code;
    for (const SourceFile& file : tree.files()) {
        if (file.path.starts_with("tests/") || file.path.starts_with("bench/")) continue;
        const std::string from = node_of(file.path);
        if (from.empty()) {
            violations.push_back(document + ": the diagram has no node for " + file.path);
            continue;
        }
        for (const Include& include : includes_of(file)) {
            const std::string to = include.quoted ? node_of(include.what) : std::string();
            if (!to.empty() && to != from) in_code.try_emplace({from, to}, at(file, include.line) + include.what);
        }
    }
    compare(document + ": ", diagram->edges, in_code, violations);
    return violations;
}

Violations room_diagram(const SourceTree& tree, const std::string& document, const std::string& folder)
{
    const std::string mark = "rooms of " + folder;
    const auto diagram = diagram_in(tree.read(document), mark);
    if (!diagram) return {document + ": no mermaid diagram with the line `%% " + mark + "`, whose edges are `a --> b`"};
    const std::string place = document + ": " + mark + ": ";

    const bool top_is_a_node = diagram->nodes.contains(folder);
    std::set<std::string> including; // rooms that include others
    for (const auto& [from, to] : diagram->edges) including.insert(from);
    Violations violations;
    InCode in_code;
    std::set<std::string> without_node;
    for (const SourceFile& file : tree.files()) {
        if (!file.path.starts_with(folder + "/") || file.path == folder + "/main.cpp") continue;
        const std::string from = room_of(file.path);
        const bool common_ground = from == folder && !top_is_a_node;
        if (!common_ground && !diagram->nodes.contains(from) && without_node.insert(from).second)
            violations.push_back(place + "the diagram has no node for " + from + " (" + file.path + ")");
        for (const Include& include : includes_of(file)) {
            if (!include.quoted || !include.what.starts_with(folder + "/")) continue;
            const std::string to = room_of(include.what);
            if (to == from || (to == folder && !top_is_a_node)) continue;
            if (!common_ground)
                in_code.try_emplace({from, to}, at(file, include.line) + include.what);
            else if (including.contains(to))
                violations.push_back(at(file, include.line) + "every room may include " + file.path +
                                     ", so it must not include " + include.what);
        }
    }
    compare(place, diagram->edges, in_code, violations);

    // Takes away, again and again, the edges into rooms that include none of those left and out of rooms that none of
    // those left includes: what stays is in a cycle, or between two.
    Edges left = diagram->edges;
    for (std::size_t before = left.size() + 1; left.size() < before;) {
        before = left.size();
        std::set<std::string> from, to;
        for (const auto& pair : left) {
            from.insert(pair.first);
            to.insert(pair.second);
        }
        std::erase_if(left, [&](const auto& pair) { return !from.contains(pair.second) || !to.contains(pair.first); });
    }
    if (!left.empty())
        violations.push_back(place + "the diagram has a cycle through " + left.begin()->first + " --> " +
                             left.begin()->second);
    return violations;
}

std::set<std::string> pure_files(const SourceTree& tree)
{
    static const std::regex claim(R"re((^|\n)// (\S.*\. )?PURE\b)re");
    std::set<std::string> pure;
    for (const SourceFile& file : tree.files())
        if (file.path.ends_with(".hpp") && !file.path.starts_with("tests/") && std::regex_search(file.text, claim))
            pure.insert(without_extension(file.path));
    return pure;
}

Violations purity(const SourceTree& tree)
{
    static const std::regex impure_include(
        R"re(^(boost/asio|boost/beast|spdlog/|thread$|mutex$|future$|condition_variable$|fstream$|iostream$|random_device|sys/|unistd\.h|netinet/))re");
    static const std::regex impure_code(
        R"re((::now\s*\()|\b(random_device|getenv|gettimeofday|clock_gettime|sleep_for|sleep_until|this_thread)\b|\btime\s*\(\s*(nullptr|0|NULL)\s*\))re");
    Violations violations;
    for (const std::string& pure : pure_files(tree)) {
        std::set<std::string> visited;
        const std::function<void(const std::string&, const std::string&)> visit = [&](const std::string& path,
                                                                                      const std::string& via) {
            const SourceFile* file = tree.find(path);
            if (!file || !visited.insert(path).second) return;
            for (const Include& include : includes_of(*file)) {
                if (include.quoted)
                    visit(include.what, via + path + " -> ");
                else if (std::regex_search(include.what, impure_include))
                    violations.push_back(at(*file, include.line) + pure + " is PURE but includes <" + include.what +
                                         "> (" + via + path + ")");
            }
        };
        for (const char* extension : {".hpp", ".cpp"}) {
            visit(pure + extension, "");
            if (const SourceFile* file = tree.find(pure + extension))
                search(*file, impure_code, [&](int line, const std::string& what) {
                    violations.push_back(at(*file, line) + pure + " is PURE but uses " + what);
                });
        }
    }
    return violations;
}

Violations banned_words(const SourceTree& tree)
{
    struct Ban {
        std::vector<std::string_view> hints; ///< a line without any of these is not searched: std::regex is slow
        std::regex pattern;
        const char* why;
        bool (*exempt)(const std::string& path) = nullptr;
    };
    static const char* const says_nothing = "a name that says nothing";
    static const std::vector<Ban> bans{
        {{"detached"}, std::regex(R"re(\basio::detached\b)re"), "a detached coroutine has no owner: use a TaskGroup"},
        {{"operators"}, std::regex(R"re(\bawaitable_operators\b)re"), "awaitable || and && are banned on this Boost"},
        {{"Manager", "Helper", "Utils", "Impl"},
         std::regex(R"re(\b\w*(Manager|Helper|Utils|Impl)(?![a-z])\w*)re"),
         says_nothing},
        {{"manager", "helper", "util"}, std::regex(R"re(\b(\w+_)?(manager|helpers?|utils?)\b)re"), says_nothing},
        {{"class I", "struct I"}, std::regex(R"re(\b(class|struct)\s+I[A-Z][a-z]\w*)re"), "no I prefix"},
        // `operator new` only gets memory, so the pattern steps over it.
        {{"new"},
         std::regex(R"re((^|[^\w\s])\s*new\b|\b(?!operator\b)\w+\s+new\b)re"),
         "no `new` expressions: std::make_unique, containers, values"},
        {{"DISABLED_"}, std::regex(R"re(\bDISABLED_\w*)re"), "no disabled tests: repair or remove"},
        {{"if 0"}, std::regex(R"re(^\s*#\s*if\s+0\b)re"), "no code that is switched off"},
        {{"sleep"},
         std::regex(R"re(\b(sleep_for|sleep_until|usleep|nanosleep)\s*\()re"),
         "tests wait for what they need",
         [](const std::string& path) { return !path.starts_with("tests/") || path.starts_with("tests/support/"); }},
        {{"awaitable"},
         std::regex(
             R"re(\[(?!\])[^\]]*\]\s*\([^)]*\)\s*(mutable\s*)?(noexcept\s*)?->\s*(boost::)?(asio::)?awaitable\b)re"),
         "no capturing coroutine lambdas: the captures die before the coroutine"},
    };
    // In comments too.
    static const std::array open_ends{"TODO", "FIXME"};

    Violations violations;
    for (const SourceFile& file : tree.files()) {
        int number = 0;
        for (const std::string& line : lines_of(file.code)) {
            ++number;
            if (line.starts_with("#include <")) continue; // the names of others
            for (const Ban& ban : bans) {
                const bool hinted = std::any_of(ban.hints.begin(), ban.hints.end(), [&](std::string_view hint) {
                    return line.find(hint) != std::string::npos;
                });
                std::smatch m;
                if (!hinted || (ban.exempt && ban.exempt(file.path)) || !std::regex_search(line, m, ban.pattern))
                    continue;
                violations.push_back(at(file, number) + trim(m.str()) + ": " + ban.why);
            }
        }
        number = 0;
        for (const std::string& line : lines_of(file.text)) {
            ++number;
            // These two files hold the words that they look for.
            if (file.path == "tests/rules/source_tree.cpp" || file.path == "tests/rules/rules_test.cpp") break;
            for (const char* word : open_ends)
                if (line.find(word) != std::string::npos)
                    violations.push_back(at(file, number) + word + ": open ends belong into an issue");
        }
        if (file.path.ends_with(".hpp")) {
            if (!file.text.starts_with("// "))
                violations.push_back(at(file, 1) + "a header opens with a paragraph on what it does");
            if (file.text.find("\n#pragma once\n") == std::string::npos)
                violations.push_back(at(file, 1) + "no #pragma once");
        }
    }
    return violations;
}

Violations everything_is_built(const SourceTree& tree, const std::string& commands)
{
    const auto database = nlohmann::json::parse(commands, nullptr, false);
    if (!database.is_array()) return {"compile_commands.json is missing or not valid"};
    std::set<std::string> built;
    for (const auto& entry : database) {
        const fs::path compiled = fs::weakly_canonical(entry.value("file", ""));
        built.insert(compiled.generic_string());
        if (compiled.parent_path().filename() != "unity") continue; // cmake/unity.cmake
        std::ifstream in(compiled);
        static const std::regex include(R"re(#include "(.*)")re");
        std::smatch name;
        for (std::string line; std::getline(in, line);)
            if (std::regex_match(line, name, include))
                built.insert(fs::weakly_canonical(fs::path(tree.root()) / name[1].str()).generic_string());
    }
    Violations violations;
    for (const SourceFile& file : tree.files()) {
        if (!file.path.ends_with(".cpp")) continue;
        if (!built.contains(fs::weakly_canonical(fs::path(tree.root()) / file.path).generic_string()))
            violations.push_back(file.path + " is not built");
    }
    return violations;
}

std::set<std::string> test_names(const SourceTree& tree)
{
    static const std::regex test(
        R"re(\b(TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\s*\(\s*(\w+)\s*,\s*(\w+))re");
    std::set<std::string> names;
    for (const SourceFile& file : tree.files()) {
        if (!file.path.ends_with("_test.cpp")) continue;
        for (std::sregex_iterator m(file.code.begin(), file.code.end(), test), end; m != end; ++m)
            names.insert((*m)[2].str() + "." + (*m)[3].str());
    }
    return names;
}

Violations named_tests_exist(const SourceTree& tree, const std::string& document)
{
    const auto cells_of = [](const std::string& line) {
        std::vector<std::string> cells;
        std::istringstream in(line.substr(line.find('|') + 1));
        for (std::string cell; std::getline(in, cell, '|');) cells.push_back(trim(cell));
        return cells;
    };
    static const std::regex name(R"re(\b([A-Z]\w*\.[A-Za-z]\w*)\b)re");
    const std::set<std::string> existing = test_names(tree);
    Violations violations;
    constexpr std::size_t none = ~std::size_t{0};
    std::size_t column = none;
    bool any_table = false;
    int number = 0;
    for (const std::string& line : lines_of(tree.read(document))) {
        ++number;
        const std::string place = document + ":" + std::to_string(number) + ": ";
        if (!line.starts_with("|")) {
            column = none;
            continue;
        }
        const auto cells = cells_of(line);
        if (column == none) {
            const auto it = std::find_if(cells.begin(), cells.end(), [](std::string cell) {
                std::transform(cell.begin(), cell.end(), cell.begin(), [](unsigned char c) { return std::tolower(c); });
                return cell == "test" || cell == "tests" || cell == "test name";
            });
            if (it == cells.end()) continue;
            column = static_cast<std::size_t>(it - cells.begin());
            any_table = true;
            continue;
        }
        if (line.find_first_not_of("|-: ") == std::string::npos) continue;
        const std::string cell = column < cells.size() ? cells[column] : std::string();
        std::sregex_iterator m(cell.begin(), cell.end(), name);
        if (m == std::sregex_iterator()) violations.push_back(place + "the row names no test");
        for (; m != std::sregex_iterator(); ++m)
            if (!existing.contains((*m)[1])) violations.push_back(place + "no such test: " + (*m)[1].str());
    }
    if (!any_table) violations.push_back(document + ": no table with a column Test");
    return violations;
}

} // namespace hotspare::rules

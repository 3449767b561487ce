#include "common/text.hpp"
#include "experiment/commands.hpp"
#include "experiment/judge/audit.hpp"
#include "experiment/judge/compare.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/progress.hpp"
#include "experiment/report/summary.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <fstream>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

Journal open_journal(const std::string& file_or_folder)
{
    fs::path file = file_or_folder;
    if (fs::is_directory(file)) file /= "samples.jsonl";
    std::ifstream in(file, std::ios::binary);
    if (!in) throw UsageError(fmt::format("{}: cannot be read", file.string()));
    auto journal = read_journal(in, file.string());
    if (const auto problems = audit(journal, 1); !problems.empty())
        throw UsageError(fmt::format("{}: {}; `experiment check` tells more", file.string(), problems.front()));
    return journal;
}

} // namespace

int compare(const std::string& a, const std::string& b)
{
    const auto first = open_journal(a);
    const auto second = open_journal(b);
    const auto a_runs = judge(first, first.repeat).runs;
    const auto b_runs = judge(second, second.repeat).runs;
    fmt::print("A  {}: {} against {}, {} valid runs\nB  {}: {} against {}, {} valid runs\n\n", printable(a),
               printable(first.plan.name), printable(first.target), a_runs.size(), printable(b),
               printable(second.plan.name), printable(second.target), b_runs.size());
    if (first.plan.text != second.plan.text)
        fmt::print("The two followed different plans; what differs may be owed to that.\n\n");

    fmt::print("{}",
               comparison_table("A", "B", compare(a_runs, b_runs), terminal_columns, ::isatty(STDOUT_FILENO) == 1));
    return 0;
}

} // namespace hotspare::experiment

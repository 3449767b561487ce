#include "common/json_document.hpp"
#include "common/text.hpp"
#include "experiment/commands.hpp"
#include "experiment/judge/audit.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/library.hpp"
#include "experiment/report/summary.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

/// What result.json beside the samples says otherwise; empty if it agrees or there is none.
std::string contradiction(const fs::path& samples, const Judgement& judgement)
{
    const auto file = samples.parent_path() / "result.json";
    std::ifstream in(file);
    if (!in) return {};
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const auto claimed = read_json_document(text);
    if (!claimed.is_object()) return fmt::format("{} is not a result", file.string());
    const auto verdict = claimed.value("verdict", "nothing");
    if (verdict == to_string(judgement.verdict)) return {};
    return fmt::format("{} claims {}, the samples say {}", file.string(), verdict, to_string(judgement.verdict));
}

/// A record contains its own plan, and a forged record may relax what was promised.
bool differs_from_library(const Plan& plan, const fs::path& library)
{
    const auto names = names_in(library);
    return std::ranges::find(names, plan.name) != names.end() && find_plan(plan.name, library).text != plan.text;
}

std::string counted(std::size_t number, std::string_view what)
{
    return fmt::format("{} {}{}", grouped(number), what, number == 1 ? "" : "s");
}

/// Those that the table counts, and apart from them those that must not be repeated.
std::string requests_text(const Journal& journal)
{
    std::size_t repeatable = 0;
    std::size_t not_repeatable = 0;
    for (const Run& run : journal.runs)
        for (const Sample& sample : run.samples)
            ++(journal.plan.load[sample.stream].must_succeed ? repeatable : not_repeatable);
    if (not_repeatable == 0) return counted(repeatable, "request");
    return fmt::format("{} and {} that must not be repeated", counted(repeatable, "request"), grouped(not_repeatable));
}

} // namespace

int check(const std::string& path, const Places& places)
{
    const auto file = fs::is_directory(path) ? (fs::path(path) / "samples.jsonl").string() : path;
    std::ifstream in(file, std::ios::binary);
    if (!in) throw UsageError(fmt::format("{}: cannot be read", file));
    std::string first_line;
    std::getline(in, first_line);
    in.clear();
    in.seekg(0);
    if (is_orders_history(first_line)) return check_orders(in, file);
    const auto journal = read_journal(in, file);
    const auto judgement = judge(journal, journal.repeat);
    auto problems = audit(journal);
    if (const auto other = contradiction(file, judgement); !other.empty()) problems.push_back(other);

    fmt::print("{}: {} against {}, {}, {}\n\n", printable(file), printable(journal.plan.name),
               printable(journal.target), counted(journal.runs.size(), "run"), requests_text(journal));
    if (differs_from_library(journal.plan, places.library))
        fmt::print("The plan in this record is not that of the library's {}: its conditions may be other ones.\n\n",
                   printable(journal.plan.name));
    if (!problems.empty()) {
        for (const auto& problem : problems) fmt::print("  {}\n", printable(problem));
        fmt::print("\nREJECTED: the record contradicts itself, so nothing follows from it\n");
        return exit_code(Verdict::invalid);
    }
    fmt::print("{}", summary(journal, judgement, 80, ::isatty(STDOUT_FILENO) == 1));
    return exit_code(judgement.verdict);
}

} // namespace hotspare::experiment

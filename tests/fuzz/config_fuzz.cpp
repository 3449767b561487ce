// Any text as the balancer's configuration file. Either it is a configuration, whose printed form reads back to the
// same, or one line says where it is wrong. How long that may take is the drivers' to judge: a bomb of aliases, a deep
// nest or a long list shows as a time-out.

#include "tests/fuzz/check.hpp"

#include "balancer/config_file.hpp"

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

namespace {

using namespace hotspare;

/// What is refused, or nothing if the text was taken.
std::vector<std::string> load(const std::string& yaml, balancer::ConfigFile& file)
{
    config::Loader loader(file);
    try {
        loader.load(yaml, "f.yaml");
        loader.complete();
    } catch (const UsageError& e) {
        fuzz::check(!e.messages.empty(), "a refusal says why", yaml);
        return e.messages;
    }
    return {};
}

void check_refusal(const std::string& message)
{
    if (message == "f.yaml: more errors are not listed") return;
    static const std::regex placed(R"(f\.yaml:[1-9][0-9]*:[1-9][0-9]*: [\s\S]+)");
    constexpr std::size_t longest = 64 * 1024; // some name every backend there is
    fuzz::check(message.size() < longest && std::regex_match(message.substr(0, 500), placed),
                "a refusal names file, line and column", message);
    fuzz::check(std::none_of(message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }),
                "a refusal is one line of text", message);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string yaml(fuzz::text_of(data, size));
    balancer::ConfigFile file;
    if (const auto refusals = load(yaml, file); !refusals.empty()) {
        for (const auto& refusal : refusals) check_refusal(refusal);
        return 0;
    }
    const auto config = balancer::to_config(file);
    fuzz::check(!config.backends.empty() && !config.pools.empty() && !config.routes.empty(),
                "a configuration is whole");
    const auto printed = config::to_yaml(file);
    balancer::ConfigFile again;
    const auto refusals = load(printed, again);
    fuzz::check(refusals.empty(), "what is printed is accepted",
                refusals.empty() ? "" : refusals.front() + "\n" + printed);
    fuzz::check(config::to_yaml(again) == printed, "what is printed reads back to the same", printed);
    return 0;
}

// Any text as the balancer's configuration file. Either it is a configuration, whose printed form reads back to the
// same, or one line says where it is wrong. How long that may take is the drivers' to judge: a bomb of aliases, a deep
// nest or a long list shows as a time-out.

#include "tests/fuzz/check.hpp"

#include "balancer/config_file.hpp"
#include "balancer/decide/topology.hpp"

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

/// What refers to something refers to what is there.
void check_whole(const balancer::Topology& topology)
{
    for (const balancer::PoolIndex p : topology.present_pools)
        for (const balancer::BackendIndex b : topology.pools[p].backends)
            fuzz::check(topology.present(b), "a pool has only backends that are there");
    for (const balancer::RouteConfig& route : topology.routes.routes())
        fuzz::check(route.builtin != balancer::Builtin::none || topology.pool_present(route.pool),
                    "a route leads to a pool that is there");
}

/// A balancer with another configuration reads this one, and then its own again.
void check_reload(const balancer::Config& config)
{
    static const balancer::Config own = balancer::load_config("backends: [{name: a, url: 'http://127.0.0.1:1'},"
                                                              " {name: b, url: 'http://127.0.0.1:2'}]\n");
    const auto first = balancer::first_topology(own);
    const auto change = balancer::next_topology(first, config, {});
    if (!change) return; // more backends than there are slots beside those of `own`
    check_whole(*change->topology);
    fuzz::check(change->topology->present_backends.size() == config.backends.size() &&
                    change->topology->present_pools.size() == config.pools.size(),
                "everything is there after a reload");
    fuzz::check(balancer::next_topology(change->topology, config, {})->said.empty(), "the same again changes nothing");
    const auto back = balancer::next_topology(change->topology, own, {});
    fuzz::check(back.has_value(), "there is a way back");
    check_whole(*back->topology);
    for (const balancer::BackendIndex b : {0, 1})
        fuzz::check(back->topology->same_backend(*first, b), "a backend that comes back has its slot");
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
    check_reload(config);
    return 0;
}

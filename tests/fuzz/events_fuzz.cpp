// Any bytes as a history: a configuration and what then happens to the backends, the requests, the operator and the
// clock. The judge is that of the unit tests, tests/unit/balancer/decide/failover_world.hpp.

#include "tests/fuzz/check.hpp"

#include "tests/unit/balancer/decide/failover_world.hpp"

#include <sstream>
#include <string>

namespace hotspare::fuzz {
namespace {

using namespace balancer;

constexpr std::size_t longest_history = 150;
constexpr unsigned longest_pause_ms = 1200;

/// Takes bytes from the front; zeros when there are none left.
class Bytes {
public:
    explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

    bool empty() const noexcept { return bytes_.empty(); }
    unsigned next() noexcept
    {
        if (bytes_.empty()) return 0;
        const auto byte = static_cast<unsigned char>(bytes_.front());
        bytes_.remove_prefix(1);
        return byte;
    }

private:
    std::string_view bytes_;
};

Config config_from(Bytes& bytes)
{
    const unsigned shape = bytes.next();
    Config config = config_of(1 + shape % 4, shape & 0x80 ? Policy::round_robin : Policy::failover);
    PoolConfig& pool = config.pools[0];
    const unsigned tuning = bytes.next();
    pool.probe.fall = 1 + tuning % 3;
    pool.probe.rise = 1 + tuning / 3 % 3;
    if (shape & 0x10) pool.quarantine.failure_limit = 5;
    if (shape & 0x20) pool.failback.mode = FailbackMode::manual;
    if (shape & 0x40) pool.failback.slow_start = seconds(5);
    return config;
}

Step step_from(Bytes& bytes)
{
    Step step;
    const unsigned first = bytes.next();
    // The kinds of steps are more than they were when the corpus began: its files shall mean what they meant.
    constexpr unsigned first_members = 252;
    constexpr unsigned succeeds = 255;
    constexpr auto earlier = static_cast<unsigned>(Step::What::members);
    step.what = first == succeeds        ? Step::What::succeed
                : first >= first_members ? Step::What::members
                                         : static_cast<Step::What>(first % earlier);
    step.backend = static_cast<BackendIndex>(first / 64);
    const unsigned low = bytes.next();
    step.value = static_cast<std::uint16_t>((low + 256 * bytes.next()) % longest_pause_ms);
    return step;
}

} // namespace
} // namespace hotspare::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace hotspare;
    fuzz::Bytes bytes(fuzz::text_of(data, size));
    const balancer::Config config = fuzz::config_from(bytes);
    balancer::World world(config, bytes.next());
    bool by_hand = false;
    std::ostringstream history;
    const auto check = [&] {
        if (world.violations.empty()) return;
        fuzz::check(false, world.violations.front(), history.str());
    };
    world.start();
    check();
    for (std::size_t i = 0; i < fuzz::longest_history && !bytes.empty(); ++i) {
        const balancer::Step step = fuzz::step_from(bytes);
        history << step << ' ';
        by_hand |= step.what == balancer::Step::What::word || step.what == balancer::Step::What::prefer ||
                   step.what == balancer::Step::What::members;
        world.apply(step);
        check();
    }
    // The bound that failover.hpp states, where no operator moves anything or forgives a flap.
    if (!by_hand && config.pools[0].probe.rise >= 2)
        fuzz::check(world.most_failovers_in_a_minute() <= 24 * config.backends.size(),
                    "flapping causes at most 24 failovers a minute and backend", history.str());
    history << "recover";
    world.recover();
    check();
    return 0;
}

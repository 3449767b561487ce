// Random plays over the exchange: exchange_play.hpp says what must hold.
#include "tests/support/property.hpp"
#include "tests/unit/balancer/serve/exchange_play.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace rc {

template <> struct Arbitrary<hotspare::balancer::Turn> {
    static Gen<hotspare::balancer::Turn> arbitrary()
    {
        using What = hotspare::balancer::Turn::What;
        return gen::build<hotspare::balancer::Turn>(
            gen::set(
                &hotspare::balancer::Turn::what,
                gen::weightedElement<What>({{20, What::request},      {6, What::client_more},  {2, What::client_end},
                                            {2, What::client_break},  {3, What::client_takes}, {3, What::client_opens},
                                            {2, What::door},          {3, What::connect},      {20, What::answer},
                                            {8, What::backend_more},  {3, What::backend_end},  {3, What::backend_break},
                                            {2, What::unasked},       {3, What::unnoticed},    {3, What::backend_takes},
                                            {3, What::backend_opens}, {8, What::pause},        {2, What::leap},
                                            {2, What::down},          {5, What::back},         {1, What::leave}})),
            gen::set(&hotspare::balancer::Turn::who, gen::inRange<std::uint8_t>(0, 6)),
            gen::set(&hotspare::balancer::Turn::value, gen::arbitrary<std::uint16_t>()));
    }
};

} // namespace rc

namespace hotspare::balancer {
namespace TEST_FILE {

/// Short limits, so that a few turns reach them.
Config config_of_a_play(std::size_t backends, bool little_memory)
{
    Config config = exchange_config(backends);
    config.timeouts = {.connect = milliseconds(600),
                       .request = seconds(5),
                       .header = seconds(3),
                       .body_idle = seconds(3),
                       .client_idle = seconds(10),
                       .upstream_idle = seconds(6),
                       .tunnel_idle = seconds(4),
                       .drain = seconds(1)};
    config.routes[0].timeout = config.timeouts.request;
    config.pools[0].retry.replay_buffer = 8 * 1024;
    config.pools[0].park.timeout = seconds(1);
    if (little_memory) config.limits.relay_memory = 20 * 1024;
    return config;
}

void check_plays(int runs, Reading reading)
{
    std::uint64_t answers = 0;
    test::check_property(runs, [&] {
        const auto backends = *rc::gen::inRange<std::size_t>(1, 4);
        const bool little_memory = *rc::gen::arbitrary<bool>();
        const auto turns = *rc::gen::scale(1.5, rc::gen::arbitrary<std::vector<Turn>>());
        Play play(config_of_a_play(backends, little_memory), reading);
        for (const Turn& turn : turns) play.apply(turn);
        play.end();
        answers += play.answers;
        if (!play.wrong.empty()) RC_FAIL(play.wrong.front());
    });
    // Plays in which nothing is answered would prove little.
    const auto few = test::runs_are_given() ? 0U : static_cast<std::uint64_t>(runs) / 32;
    EXPECT_GE(answers, few);
}

TEST(ExchangeRandom, NothingIsMixedLostOrLeftOpenWhateverHappens)
{
    check_plays(300, Reading::pieces);
}

TEST(ExchangeRandom, NorWithStreamsThatBehaveAsSockets)
{
    check_plays(300, Reading::socket);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer

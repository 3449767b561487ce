#include "monitor/history/codec.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

constexpr Instant begin{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};

IncidentMemory incident_memory()
{
    IncidentTracker tracker({});
    Instant at = begin;
    const auto observe = [&](State state, int times, std::string_view cause = {}) {
        for (; times > 0; --times) tracker.observe({at += 10s, state, cause});
    };
    observe(State::up, 2);
    observe(State::down, 3, "refused");
    observe(State::degraded, 3);
    observe(State::down, 4, "\"timed out\"\n<b>é");
    EXPECT_FALSE(tracker.post({at, IncidentStatus::identified, "A disk.\nIt is replaced.", "ada"}));
    observe(State::up, 1);
    observe(State::unknown, 1);
    return tracker.memory();
}

MaintenanceMemory maintenance_memory()
{
    Maintenance maintenance({.components = {"a", "b"}, .operated = {"a"}});
    EXPECT_TRUE(maintenance.create({.message = "Once.", .start = begin + 50h, .end = begin + 51h}, begin));
    EXPECT_TRUE(maintenance.create({.title = "Disks",
                                    .message = "Weekly.",
                                    .start = begin + 100h,
                                    .end = begin + 101h,
                                    .components = {"a"},
                                    .impact = Impact::major,
                                    .rrule = "FREQ=WEEKLY",
                                    .time_zone = "Europe/Berlin",
                                    .close_pools = true},
                                   begin));
    EXPECT_TRUE(maintenance.create(
        {.message = "Now.", .start = begin, .end = begin + 1h, .components = {"b"}, .emergency = true}, begin));
    maintenance.tick(begin);
    maintenance.tick(begin + 105h);
    EXPECT_FALSE(maintenance.memory().past.empty());
    maintenance.set_closed(
        "a", {{"a", "x", "run", ClosedBackend::Phase::closing, {{begin + 1h, "Disks."}}},
              {"a", "y", "run", ClosedBackend::Phase::left_alone, {{begin + 1h, "Disks."}, {begin + 2h, "More."}}}});
    return maintenance.memory();
}

NotificationMemory notification_memory()
{
    Notification notification({.channels = {{.name = "mail"}, {.name = "hook"}}}, 1);
    notification.went_down({"a", 3, begin, "refused", 0s}, begin);
    notification.went_down({"b", 1, begin, "refused", 0s}, begin);
    notification.maintenance({7, Notice::start, {begin, begin + 1h}}, begin);
    auto taken = notification.take(begin);
    notification.finished(taken.at(0).id, {.delivered = false, .final = true, .why = "550 no such user"}, begin + 1s);
    notification.take(begin + 5s);
    notification.went_down({"c", 1, begin, "timed out", 0s}, begin + 6s);
    notification.came_back("b", 10s, begin + 7s);
    auto memory = notification.memory();
    EXPECT_FALSE(memory.cases.empty());
    EXPECT_FALSE(memory.queue.empty());
    EXPECT_FALSE(memory.failures.empty());
    memory.cooldowns[{"mail", "d"}] = begin + 15min;
    return memory;
}

TEST(Codec, ReadsWhatItWrote)
{
    const auto incidents = incident_memory();
    ASSERT_TRUE(incidents.incident);
    ASSERT_TRUE(incidents.incident->open());
    EXPECT_EQ(*decode_incident_memory(encode(incidents)), incidents);
    EXPECT_EQ(*decode_incident_memory(encode(IncidentMemory{})), IncidentMemory{});
    const IncidentMemory in_doubt{.other_row = 2};
    EXPECT_EQ(*decode_incident_memory(encode(in_doubt)), in_doubt);
    EXPECT_EQ(*decode_incident(encode(*incidents.incident)), *incidents.incident);
    EXPECT_EQ(*decode_maintenance_memory(encode(maintenance_memory())), maintenance_memory());
    EXPECT_EQ(*decode_maintenance_memory(encode(MaintenanceMemory{})), MaintenanceMemory{});
    EXPECT_EQ(*decode_notification_memory(encode(notification_memory())), notification_memory());
    EXPECT_EQ(*decode_notification_memory(encode(NotificationMemory{})), NotificationMemory{});
}

TEST(Codec, ReadsWindowsThatWereStoredBeforePoolsCouldBeClosed)
{
    const auto memory = decode_maintenance_memory(
        R"({"windows":[{"id":1,"title":"","message":"Disks.","time":[5,9],"components":[],"impact":"minor","rrule":"",)"
        R"("time_zone":"","emergency":true,"state":"completed","version":0,"created_at":1,"announced_at":1,)"
        R"("announced_end":9,"first":[5,9],"told":0}],"past":[],"last_id":1})");
    ASSERT_TRUE(memory) << memory.error().what;
    EXPECT_FALSE(memory->windows.at(0).plan.close_pools);
    EXPECT_TRUE(memory->closed.empty());
}

/// The text with the first `what` replaced; it must be there.
std::string with(std::string text, std::string_view what, std::string_view by)
{
    const auto at = text.find(what);
    EXPECT_NE(at, text.npos) << what << " in " << text;
    if (at != text.npos) text.replace(at, what.size(), by);
    return text;
}

std::string reason(const std::string& text)
{
    const auto decoded = decode_incident_memory(text);
    return decoded ? "accepted" : decoded.error().what;
}

TEST(Codec, NamesWhatIsDamagedInATracker)
{
    const std::string sound = encode(incident_memory());
    EXPECT_EQ(reason("").substr(0, 10), "no JSON at");
    EXPECT_EQ(reason(sound.substr(0, sound.size() - 1)).substr(0, 10), "no JSON at");
    EXPECT_EQ(reason("[]"), "the text: expected an object");
    EXPECT_EQ(reason(with(sound, "\"in_gap\"", "\"in_gip\"")), "in_gip: expected no such member");
    EXPECT_EQ(reason(with(sound, "\"in_gap\":true,", "")), "in_gap: expected a value");
    EXPECT_EQ(reason(with(sound, "\"in_gap\":true", "\"in_gap\":1")), "in_gap: expected true or false");
    EXPECT_EQ(reason(with(sound, "\"good_row\":1", "\"good_row\":-1")),
              "good_row: expected a whole number from 0 to 2147483647");
    EXPECT_EQ(reason(with(sound, "\"good_row\":1", "\"good_row\":18446744073709551615")),
              "good_row: expected a whole number from 0 to 2147483647");
    EXPECT_EQ(reason(with(sound, "\"recorded\":\"degraded\"", "\"recorded\":\"odd\"")),
              "recorded: expected one of the known words");
    EXPECT_EQ(reason(with(sound, "\"recorded\":\"degraded\"", "\"recorded\":\"down\"")),
              "recorded: expected up, degraded or unknown");
    EXPECT_EQ(reason(with(sound, "\"incidents\":1", "\"incidents\":0")),
              "incidents: expected at least the number of the incident");
    EXPECT_EQ(reason(R"({"latest":null,"recorded":"up","in_gap":false,"down_row":0,"good_row":0,"row_begin":0,)"
                     R"("row_in_maintenance":false,"incident":null,"incidents":0})"),
              "latest: expected an instant, as a state is recorded");
}

TEST(Codec, RefusesAnIncidentThatWouldBreakItsReaders)
{
    const auto reason = [](const std::string& outages) {
        const auto decoded = decode_incident(R"({"number":1,"cause":"","outages":)" + outages +
                                             R"(,"maintenance":false,"status":"resolved","updates":[]})");
        return decoded ? "accepted" : decoded.error().what;
    };
    EXPECT_EQ(reason("[[5,9]]"), "accepted");
    EXPECT_EQ(reason("[[5,9223372036854775807]]"), "accepted");
    EXPECT_EQ(reason("[]"), "outages: expected at least one");
    EXPECT_EQ(reason("[[5]]"), "outages[0]: expected begin and end");
    EXPECT_EQ(reason("[[5,4]]"), "outages[0]: expected a begin and an end after it");
    EXPECT_EQ(reason("[[5,9],[8,12]]"), "outages: expected ascending stretches");
    EXPECT_EQ(reason("[[5,9],[-8,12]]"), "outages[1]: expected a begin and an end after it");
    EXPECT_EQ(reason("[[5,9e3]]"), "outages[0]: expected a begin and an end after it");
}

TEST(Codec, NamesWhatIsDamagedInTheOtherMemories)
{
    const auto windows = encode(maintenance_memory());
    const auto maintenance = [](const std::string& text) {
        const auto decoded = decode_maintenance_memory(text);
        return decoded ? "accepted" : decoded.error().what;
    };
    EXPECT_EQ(maintenance(with(windows, "\"last_id\":3", "\"last_id\":2")),
              "windows: expected ascending ids up to last_id");
    EXPECT_EQ(maintenance(with(windows, "\"impact\":\"minor\"", "\"impact\":\"huge\"")),
              "windows[0].impact: expected one of the known words");
    EXPECT_EQ(maintenance(with(windows, "\"told\":", "\"told\":99")),
              "windows[0].told: expected a whole number from 0 to 255");
    EXPECT_EQ(maintenance(with(windows, "\"close_pools\":false", "\"close_pools\":0")),
              "windows[0].close_pools: expected true or false");
    EXPECT_EQ(maintenance(R"({"windows":[],"past":[],"last_id":0,"closed":[{"balancer":"a","backend":"x","run":"r",)"
                          R"("phase":"closed","announced":[]}]})"),
              "closed[0].announced: expected at least one");

    const auto queue = encode(notification_memory());
    const auto notification = [](const std::string& text) {
        const auto decoded = decode_notification_memory(text);
        return decoded ? "accepted" : decoded.error().what;
    };
    EXPECT_EQ(notification(with(queue, "\"cases\":[{\"channel\":\"hook\"", "\"cases\":[{\"channel\":7")),
              "cases[0].channel: expected a text");
    EXPECT_EQ(notification(R"({"cases":[],"cooldowns":[],"queue":[{"id":1,"channel":"m","attempts":0,"due":0,)"
                           R"("in_flight":false,"kind":"outage","outages":[]}],"failures":[],"last_id":1})"),
              "queue[0].outages: expected at least one");
}

/// Whatever was done to a text: it is refused, or it is read and works.
TEST(Codec, SurvivesAnyDamage)
{
    const std::vector<std::string> texts{encode(incident_memory()), encode(maintenance_memory()),
                                         encode(notification_memory())};
    test::check_property(2000, [&] {
        std::string text = *rc::gen::elementOf(texts);
        for (int changes = *rc::gen::inRange(1, 4); changes > 0; --changes) {
            const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
            switch (*rc::gen::inRange(0, 3)) {
            case 0: text[at] = *rc::gen::elementOf(std::string("0919-{}[],:\"etn\xff")); break;
            case 1: text.erase(at, *rc::gen::inRange<std::size_t>(1, 40)); break;
            default: text.insert(at, text.substr(*rc::gen::inRange<std::size_t>(0, text.size()), 20));
            }
        }
        if (const auto memory = decode_incident_memory(text)) {
            RC_ASSERT(*decode_incident_memory(encode(*memory)) == *memory);
            IncidentTracker tracker({}, *memory);
            for (const State state : {State::down, State::unknown, State::down, State::down, State::up, State::up})
                tracker.observe({memory->latest.value_or(begin) + 10s, state, "x"});
        }
        if (const auto memory = decode_maintenance_memory(text)) {
            RC_ASSERT(*decode_maintenance_memory(encode(*memory)) == *memory);
            Maintenance maintenance({}, *memory);
            maintenance.banner(begin);
        }
        if (const auto memory = decode_notification_memory(text)) {
            RC_ASSERT(*decode_notification_memory(encode(*memory)) == *memory);
            Notification notification({.channels = {{.name = "mail"}}}, 1, *memory);
            notification.take(begin + 1h);
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor

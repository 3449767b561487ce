#include "monitor/requests/incident_update.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

using Json = nlohmann::json;

TEST(IncidentUpdateRequest, TakesStatusAndMessage)
{
    for (const auto status : {IncidentStatus::investigating, IncidentStatus::identified, IncidentStatus::monitoring,
                              IncidentStatus::resolved}) {
        const auto update = read_incident_update({{"status", to_string(status)}, {"message", "A disk is full."}});
        ASSERT_TRUE(update);
        EXPECT_EQ(*update, (IncidentUpdate{.status = status, .message = "A disk is full."}));
    }
}

TEST(IncidentUpdateRequest, RefusesWhatIsWrongByName)
{
    const struct {
        Json document;
        Refusal refusal;
    } cases[] = {
        {Json::array(), {"body", "the body must be a JSON object, not an array"}},
        {Json::object(), {"status", "status is required"}},
        {{{"status", "identified"}}, {"message", "message is required"}},
        {{{"message", "x"}}, {"status", "status is required"}},
        {{{"status", nullptr}, {"message", "x"}}, {"status", "status is required"}},
        {{{"status", "identified"}, {"message", 7}}, {"message", "message must be a string, not a number"}},
        {{{"status", "open"}, {"message", "x"}},
         {"status", "status must be one of investigating, identified, monitoring, resolved"}},
        {{{"status", "identified"}, {"message", "x"}, {"author", "y"}},
         {"author", "author is not a member of the document, which has status, message"}},
    };
    for (const auto& one : cases) {
        const auto update = read_incident_update(one.document);
        ASSERT_FALSE(update) << one.document.dump();
        EXPECT_EQ(update.error(), one.refusal) << update.error().message;
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor

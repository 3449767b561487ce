#include "orders/control.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::orders {
namespace TEST_FILE {

/// What curl sends from this machine.
http::Caller local()
{
    return {.peer = "127.0.0.1", .method = "POST", .host = "localhost:5001"};
}

/// The same, as it arrives through the gateway.
http::Caller by_gateway()
{
    auto caller = local();
    caller.forwarded = true;
    return caller;
}

std::string refusal(const Control& control, const http::Caller& caller, Party party, Listener listener)
{
    const auto problem = control.refuse(caller, party, listener);
    if (!problem) return {};
    EXPECT_EQ(problem->status, 403U);
    return problem->detail;
}

TEST(Control, AnswersCallersOfThisMachineOnBothListeners)
{
    const Control control(ControlSettings{});
    for (const auto party : {Party::operators, Party::workers})
        for (const auto listener : {Listener::clients, Listener::control})
            EXPECT_EQ(refusal(control, local(), party, listener), "");
}

TEST(Control, TellsWhoComesThroughAProxyWhereToGo)
{
    Control control(ControlSettings{});
    control.listens_on(5101);
    for (const auto listener : {Listener::clients, Listener::control}) {
        const auto why = refusal(control, by_gateway(), Party::operators, listener);
        EXPECT_NE(why.find("through a proxy"), std::string::npos) << why;
        EXPECT_NE(why.find("5101"), std::string::npos) << why;
    }
    EXPECT_NE(refusal(control, by_gateway(), Party::workers, Listener::clients), "");
    EXPECT_EQ(refusal(control, by_gateway(), Party::workers, Listener::control), "") << "their own gateway";
}

TEST(Control, AnswersNoPage)
{
    const Control control(ControlSettings{});
    for (const auto party : {Party::operators, Party::workers})
        for (const auto listener : {Listener::clients, Listener::control}) {
            auto page = local();
            page.origin = "http://evil.example";
            EXPECT_NE(refusal(control, page, party, listener), "");
            page = local();
            page.content_type = "text/plain";
            EXPECT_NE(refusal(control, page, party, listener), "");
            page = local();
            page.host = "rebound.example";
            EXPECT_NE(refusal(control, page, party, listener), "");
        }
}

TEST(Control, AnswersOperatorsOfAnotherMachineNowhere)
{
    const Control control(ControlSettings{.host = "0.0.0.0"});
    auto caller = local();
    caller.peer = "192.0.2.1";
    caller.host = "192.0.2.7:5101";
    for (const auto listener : {Listener::clients, Listener::control})
        EXPECT_NE(refusal(control, caller, Party::operators, listener), "");
    EXPECT_NE(refusal(control, caller, Party::workers, Listener::clients), "");
    EXPECT_EQ(refusal(control, caller, Party::workers, Listener::control), "") << "that is what its address is for";
}

TEST(Control, CanLeaveTheClientsPortToClients)
{
    Control control(ControlSettings{.local_callers = false});
    control.listens_on(5101);
    for (const auto party : {Party::operators, Party::workers}) {
        EXPECT_NE(refusal(control, local(), party, Listener::clients).find("5101"), std::string::npos);
        EXPECT_EQ(refusal(control, local(), party, Listener::control), "");
    }
}

TEST(Control, AnswersTheNamesAndOriginsThatItIsToldOf)
{
    const Control control(ControlSettings{.hosts = {"orders.internal"}, .origins = {"http://console.internal"}});
    auto caller = local();
    caller.host = "orders.internal:5101";
    caller.origin = "http://console.internal";
    EXPECT_EQ(refusal(control, caller, Party::operators, Listener::control), "");
    caller.origin = "http://console.internal.evil.example";
    const auto why = refusal(control, caller, Party::operators, Listener::control);
    EXPECT_NE(why.find("control.origins"), std::string::npos) << why;
}

} // namespace TEST_FILE
} // namespace hotspare::orders

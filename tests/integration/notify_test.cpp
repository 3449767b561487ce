// Mails and webhooks over real sockets, to receivers that refuse, hang and echo what they should not know.
#include "common/notify/courier.hpp"
#include "common/task_group.hpp"

#include "tests/support/eventually.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/process.hpp"
#include "tests/support/smtp_sink.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/io_context.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::notify {
namespace TEST_FILE {

using test::Origin;
using test::Reply;
using test::SmtpSink;

constexpr auto password = "correct horse";

MailServer server_at(std::uint16_t port)
{
    return {.host = "127.0.0.1", .port = port, .security = MailServer::Security::none, .deadline = seconds(20)};
}

Mail mail()
{
    return {.from = "monitor@shop.example",
            .to = {"ops@shop.example"},
            .subject = "api is down",
            .text = ".a line that begins with a dot\n",
            .delivery = "m-1",
            .date = WallTime(seconds(1'796'036'645))};
}

/// A courier with its event loop, which runs until what was asked for has ended.
class Desk {
public:
    explicit Desk(std::size_t most_waiting = 64) : courier(1, most_waiting) {}

    Outcome send(MailServer server, Mail what)
    {
        tasks_.spawn("mail", store(courier.send(std::move(server), std::move(what))));
        return run().back();
    }
    Outcome call(Webhook webhook, std::string body = R"({"text":"x"})")
    {
        tasks_.spawn("webhook", store(courier.call(std::move(webhook), std::move(body), "m-1")));
        return run().back();
    }
    void begin(MailServer server) { tasks_.spawn("mail", store(courier.send(std::move(server), mail()))); }
    std::vector<Outcome> run()
    {
        io_.restart();
        io_.run();
        return std::exchange(outcomes_, {});
    }

    Courier courier;

private:
    asio::awaitable<void> store(asio::awaitable<Outcome> attempt)
    {
        auto outcome = co_await std::move(attempt);
        outcomes_.push_back(std::move(outcome));
    }

    asio::io_context io_{1};
    TaskGroup tasks_{io_};
    std::vector<Outcome> outcomes_;
};

TEST(Notify, DeliversAMail)
{
    SmtpSink sink;
    Desk desk;
    const auto outcome = desk.send(server_at(sink.port()), mail());
    EXPECT_TRUE(outcome.delivered) << outcome.why;
    const auto mails = sink.mails();
    ASSERT_EQ(mails.size(), 1U);
    EXPECT_TRUE(mails[0].from.starts_with("<monitor@shop.example>")) << mails[0].from;
    EXPECT_EQ(mails[0].to, std::vector<std::string>{"<ops@shop.example>"});
    EXPECT_EQ(mails[0].data, mail_message(mail()));
}

TEST(Notify, LogsInAndTellsNoPasswordWhenThatFails)
{
    auto server = [](std::uint16_t port) {
        auto s = server_at(port);
        s.user = "monitor";
        s.password = password;
        return s;
    };
    Desk desk;
    {
        SmtpSink sink;
        EXPECT_TRUE(desk.send(server(sink.port()), mail()).delivered);
    }
    const auto secret = base64(std::string("\0monitor\0", 9) + password);
    SmtpSink sink([&](const std::string& line) -> std::optional<std::string> {
        if (line.find(secret) == std::string::npos) return std::nullopt;
        return "535 5.7.8 wrong: " + secret + " " + password + " " + base64(password);
    });
    const auto outcome = desk.send(server(sink.port()), mail());
    EXPECT_FALSE(outcome.delivered);
    EXPECT_FALSE(outcome.retryable) << "the same password will not be right later";
    EXPECT_EQ(outcome.why, "mail server 127.0.0.1: answered 535 5.7.8 wrong: *** *** ***");
    EXPECT_TRUE(sink.mails().empty());
}

TEST(Notify, SendsNoPasswordWithoutTlsToAnotherMachine)
{
    auto server = server_at(25);
    server.host = "mail.example";
    server.password = password;
    const auto outcome = Desk().send(server, mail());
    EXPECT_FALSE(outcome.delivered);
    EXPECT_FALSE(outcome.retryable);
    EXPECT_EQ(outcome.why.find(password), std::string::npos);
}

TEST(Notify, SendsNothingWhenStarttlsIsWantedAndNotOffered)
{
    SmtpSink sink;
    auto server = server_at(sink.port());
    server.security = MailServer::Security::starttls;
    server.user = "monitor";
    server.password = password;
    const auto outcome = Desk().send(server, mail());
    EXPECT_FALSE(outcome.delivered);
    EXPECT_FALSE(outcome.why.empty());
    for (const auto& line : sink.commands()) {
        EXPECT_FALSE(line.starts_with("AUTH")) << line;
        EXPECT_FALSE(line.starts_with("MAIL")) << line;
    }
}

/// aiosmtpd, which offers STARTTLS with a certificate of its own and demands it.
TEST(Notify, DeliversAMailOverTlsToAServerWhoseCertificateItTrusts)
{
    const test::TempDir dir;
    const std::string key = (dir.path() / "key.pem").string(), certificate = (dir.path() / "certificate.pem").string();
    const auto made =
        test::run("/usr/bin/openssl", {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                                       "-nodes", "-days", "2", "-keyout", key, "-out", certificate, "-subj",
                                       "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"});
    ASSERT_EQ(made.code, 0) << made.err;
    std::uint16_t port = test::local_port(test::listen_loopback(0));
    test::Process smtp("/usr/bin/aiosmtpd",
                       {"-n", "-l", fmt::format("127.0.0.1:{}", port), "--tlscert", certificate, "--tlskey", key});
    Desk desk;
    MailServer server = server_at(port);
    server.security = MailServer::Security::starttls;
    server.ca_file = certificate;
    Outcome outcome;
    ASSERT_TRUE(test::eventually([&] { return (outcome = desk.send(server, mail())).delivered; })) << outcome.why;
    EXPECT_TRUE(smtp.wait_line("Subject: api is down")) << smtp.description();

    server.ca_file.clear();
    outcome = desk.send(server, mail());
    EXPECT_FALSE(outcome.delivered) << "the certificate is not trusted";
    EXPECT_NE(outcome.why.find("ertificate"), std::string::npos) << outcome.why;
}

TEST(Notify, TellsARefusalForNowFromOneForGood)
{
    const struct {
        std::string at, reply;
        bool retryable;
    } cases[]{{"", "421 too busy", true},       {"MAIL", "451 later", true}, {"RCPT", "550 5.1.1 no such user", false},
              {"RCPT", "450 greylisted", true}, {"DATA", "554 no", false},   {".", "552 mailbox full", false},
              {".", "452 try later", true}};
    for (const auto& [at, reply, retryable] : cases) {
        SmtpSink sink([&at = at, &reply = reply](const std::string& line) -> std::optional<std::string> {
            if (at.empty() ? line.empty() : line.starts_with(at)) return reply;
            return std::nullopt;
        });
        const auto outcome = Desk().send(server_at(sink.port()), mail());
        EXPECT_FALSE(outcome.delivered) << reply;
        EXPECT_EQ(outcome.retryable, retryable) << reply << ": " << outcome.why;
        EXPECT_NE(outcome.why.find(reply), std::string::npos) << outcome.why;
    }
}

TEST(Notify, WaitsForAMailServerNoLongerThanItsDeadline)
{
    for (const std::string at : {"", "EHLO", "RCPT", "."}) {
        SmtpSink sink([&](const std::string& line) -> std::optional<std::string> {
            if (at.empty() ? line.empty() : line.starts_with(at)) return "";
            return std::nullopt;
        });
        auto server = server_at(sink.port());
        server.deadline = milliseconds(200);
        const auto outcome = Desk().send(server, mail());
        EXPECT_TRUE(outcome.retryable);
        EXPECT_EQ(outcome.why, "mail server 127.0.0.1: no answer within 200ms") << at;
    }
    const auto closed = test::bind_loopback(0);
    const auto refused = Desk().send(server_at(test::local_port(closed)), mail());
    EXPECT_TRUE(refused.retryable);
    EXPECT_FALSE(refused.why.empty());
}

TEST(Notify, RefusesAMailThatCouldAddAField)
{
    SmtpSink sink;
    auto hostile = mail();
    hostile.subject = "x\r\nBcc: victim@shop.example";
    const auto outcome = Desk().send(server_at(sink.port()), hostile);
    EXPECT_FALSE(outcome.delivered);
    EXPECT_FALSE(outcome.retryable);
    EXPECT_TRUE(sink.commands().empty());
}

std::string header_of(const test::Message& request, const std::string& name)
{
    for (const auto& header : request.headers)
        if (header.name == name) return header.value;
    return {};
}

TEST(Notify, CallsAWebhookWithASignature)
{
    Origin origin;
    Desk desk;
    const std::string body = R"({"text":"größer"})";
    EXPECT_TRUE(desk.call({.url = origin.url() + "/hook?x=1", .secret = "s3cret"}, body).delivered);
    EXPECT_TRUE(desk.call({.url = origin.url() + "/plain"}, body).delivered);
    const auto requests = origin.requests();
    ASSERT_EQ(requests.size(), 2U);
    EXPECT_EQ(requests[0].start_line, "POST /hook?x=1 HTTP/1.1");
    EXPECT_EQ(requests[0].body, body);
    EXPECT_EQ(header_of(requests[0], "Content-Type"), "application/json");
    EXPECT_EQ(header_of(requests[0], "X-Hotspare-Delivery"), "m-1");
    EXPECT_EQ(header_of(requests[0], "X-Hotspare-Signature"), signature(body, "s3cret"));
    EXPECT_EQ(header_of(requests[1], "X-Hotspare-Signature"), "");
}

TEST(Notify, TellsWhetherAWebhookMayBeCalledAgain)
{
    const struct {
        int status;
        bool retryable;
    } cases[]{{400, false}, {401, false}, {404, false}, {410, false}, {408, true},  {425, true},
              {429, true},  {500, true},  {502, true},  {503, true},  {302, false}, {304, false}};
    Origin origin;
    Desk desk;
    for (const auto& [status, retryable] : cases) {
        origin.script([status = status](const test::Message&) {
            auto reply = Reply::text(status == 304 ? "" : "no: s3cret", status);
            reply.headers = {{"Location", "ftp://127.0.0.1/"}, {"Retry-After", "7"}};
            return reply;
        });
        const auto outcome = desk.call({.url = origin.url() + "/path-is-secret", .secret = "s3cret"});
        EXPECT_FALSE(outcome.delivered) << status;
        EXPECT_EQ(outcome.retryable, retryable) << status;
        EXPECT_EQ(outcome.retry_after.has_value(), retryable) << status;
        EXPECT_EQ(outcome.retry_after.value_or(seconds(7)), seconds(7));
        EXPECT_NE(outcome.why.find(std::to_string(status)), std::string::npos) << outcome.why;
        for (const char* secret : {"s3cret", "path-is-secret"})
            EXPECT_EQ(outcome.why.find(secret), std::string::npos) << outcome.why;
    }
}

TEST(Notify, ReachesAWebhookThatFailedTwice)
{
    Origin origin;
    std::atomic<int> calls = 0;
    origin.script([&](const test::Message&) { return Reply::text("", ++calls <= 2 ? 500 : 200); });
    Desk desk;
    EXPECT_TRUE(desk.call({.url = origin.url()}).retryable);
    EXPECT_TRUE(desk.call({.url = origin.url()}).retryable);
    EXPECT_TRUE(desk.call({.url = origin.url()}).delivered);
}

TEST(Notify, WaitsForAWebhookNoLongerThanItsDeadlineAndReadsNoEndlessAnswer)
{
    Origin origin;
    Desk desk;
    origin.script([](const test::Message&) { return Reply::broken(Reply::Break::hang); });
    const auto late = desk.call({.url = origin.url(), .deadline = milliseconds(200)});
    EXPECT_TRUE(late.retryable);
    EXPECT_NE(late.why.find("no answer within 200ms"), std::string::npos) << late.why;

    origin.script([](const test::Message&) { return Reply::broken(Reply::Break::reset_unanswered); });
    EXPECT_TRUE(desk.call({.url = origin.url()}).retryable);

    origin.script([](const test::Message&) {
        auto reply = Reply::text("");
        reply.pattern = 100'000'000;
        return reply;
    });
    EXPECT_TRUE(desk.call({.url = origin.url()}).delivered);
    EXPECT_LT(origin.body_bytes_sent(), 90'000'000U);

    for (const char* url : {"ftp://127.0.0.1/x", "file:///etc/passwd", "http://a b/", "http://a/\r\nX: y", ""}) {
        const auto refused = desk.call({.url = url});
        EXPECT_FALSE(refused.delivered) << url;
        EXPECT_FALSE(refused.retryable) << url;
    }
}

TEST(Notify, BoundsWhatWaitsAndEndsWhenToldTo)
{
    SmtpSink sink([](const std::string&) { return ""; });
    Desk desk(2);
    for (int i = 0; i < 3; ++i) desk.begin(server_at(sink.port()));
    std::thread ending([&] {
        // The third is refused at once; the first hangs until it is stopped, and the second never begins.
        EXPECT_TRUE(test::eventually([&] { return sink.connections() > 0; }));
        desk.courier.stop();
    });
    const auto outcomes = desk.run();
    ending.join();
    ASSERT_EQ(outcomes.size(), 3U);
    EXPECT_EQ(outcomes[0].why, "too many messages wait to be sent");
    for (const auto& outcome : outcomes) {
        EXPECT_FALSE(outcome.delivered);
        EXPECT_TRUE(outcome.retryable);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::notify

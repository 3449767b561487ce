#include "common/config.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>

#include <unistd.h>

// A settings struct of every shape that the module offers, as a daemon would declare it.
namespace hotspare::config_test {

enum class Colour { red, green };

struct Inner {
    Duration delay = milliseconds(5);
    double ratio = 0.5;
    bool operator==(const Inner&) const = default;
};

struct Item {
    std::string name;
    Inner inner;
    std::vector<unsigned> numbers;
    bool operator==(const Item&) const = default;
};

struct Sample {
    std::uint16_t port = 5000;
    std::int32_t shift = -1;
    std::string text = "x";
    bool loud = false;
    Colour colour = Colour::red;
    std::size_t buffer = 64 * 1024;
    config::HostPort listen{"127.0.0.1", 80};
    Inner inner;
    std::vector<std::string> words{"a", "b"};
    std::vector<Item> items;
    bool operator==(const Sample&) const = default;
};

static bool is_short(const std::string& text)
{
    return !text.empty() && text.size() < 20;
}

static bool has_few(const std::vector<Item>& items)
{
    return items.size() < 5;
}

static void fields(config::Fields& field, Inner& c)
{
    field("delay", c.delay, "how long", {Duration::zero(), std::chrono::hours(1)});
    field("ratio", c.ratio, "how much", {0.0, 1e300});
}

static void fields(config::Fields& field, Item& c)
{
    field("name", c.name, "which", {is_short, "1 to 19 characters"});
    field("inner", c.inner, "nested");
    field("numbers", c.numbers, "some");
}

static void fields(config::Fields& field, Sample& c)
{
    field("port", c.port, "where", {1024, std::nullopt});
    field("shift", c.shift, "signed");
    field("text", c.text, "anything");
    field("loud", c.loud, "yes or no");
    field("colour", c.colour, "one of two");
    field("buffer", config::Bytes{c.buffer}, "bytes", {1, 1 << 30});
    field("listen", c.listen, "address");
    field("inner", c.inner, "nested");
    field("words", c.words, "texts");
    field("items", c.items, "things", {has_few, "fewer than 5"});
}

static void flags(config::Flags& list, Sample& c)
{
    config::Flag flag;
    flag.name = "word";
    flag.path = "words";
    flag.repeatable = true;
    flag.assign = [&c](const std::vector<std::string>& values) -> std::string {
        c.words = values;
        return {};
    };
    list.push_back(std::move(flag));
}

static void finish(Sample& c, const config::Places& places)
{
    std::set<std::string> names;
    for (std::size_t i = 0; i < c.items.size(); ++i)
        if (!names.insert(c.items[i].name).second)
            places.fail(fmt::format("items[{}].name", i), "duplicate, expected another");
    if (c.words.size() > 3) places.fail("words", "too many, expected 3");
}

/// With what is not to be printed.
struct Locked {
    std::string token;
    std::string store;
    std::string hook;
    std::vector<std::string> headers{};
    bool operator==(const Locked&) const = default;
};

static bool is_locked(const std::string& text)
{
    return text != "wrong" && !text.starts_with("x://");
}

static void fields(config::Fields& field, Locked& c)
{
    field("token", c.token, "whole", {is_locked, "a token", config::Secret::whole});
    field("store", c.store, "in a URL", {is_locked, "a URL", config::Secret::url});
    field("hook", c.hook, "in a path", {is_locked, "a URL", config::Secret::url_path});
    field("headers", c.headers, "behind a name", {nullptr, "", config::Secret::field});
}

} // namespace hotspare::config_test

template <> struct hotspare::config::EnumNames<hotspare::config_test::Colour> {
    static constexpr std::array names{std::pair{std::string_view("red"), config_test::Colour::red},
                                      std::pair{std::string_view("green"), config_test::Colour::green}};
};

namespace hotspare::config {
namespace TEST_FILE {

using config_test::Colour;
using config_test::Sample;

std::vector<std::string> errors_of(const std::string& yaml)
{
    try {
        from_yaml<Sample>(yaml, "f.yaml");
    } catch (const UsageError& e) {
        return e.messages;
    }
    return {"accepted"};
}

std::string error_of(const std::string& yaml)
{
    return fmt::format("{}", fmt::join(errors_of(yaml), "\n"));
}

// --- Values as text ---

TEST(Parse, durations)
{
    using namespace std::chrono;
    const std::map<std::string, Duration> good{
        {"500ms", milliseconds(500)}, {"2s", seconds(2)},          {"1m", minutes(1)}, {"1h", hours(1)},
        {"250us", microseconds(250)}, {"7ns", nanoseconds(7)},     {"0", {}},          {"0s", {}},
        {"90m", minutes(90)},         {"2562047h", hours(2562047)}};
    for (const auto& [text, value] : good) {
        ASSERT_TRUE(parse_duration(text)) << text;
        EXPECT_EQ(*parse_duration(text), value) << text;
    }
    for (const auto* text : {"", "5", "ms", "5x", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "05s", "1m30s",
                             "2562048h", "99999999999999999999s", "0x5s", "5s\n"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Parse, sizes)
{
    const std::map<std::string, std::uint64_t> good{{"0", 0},          {"1024", 1024},
                                                    {"64KiB", 65536},  {"16MiB", 16 << 20},
                                                    {"1GiB", 1 << 30}, {"18446744073709551615", UINT64_MAX}};
    for (const auto& [text, value] : good) {
        ASSERT_TRUE(parse_size(text)) << text;
        EXPECT_EQ(*parse_size(text), value) << text;
    }
    for (const auto* text : {"", "KiB", "64 KiB", "64KB", "64kib", "64K", "-1", "1.5MiB", "18446744073709551616",
                             "18446744073709551615KiB", "64KiBB", "012"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Parse, whole_numbers)
{
    EXPECT_EQ(*parse_unsigned("65535", 65535), 65535U);
    EXPECT_EQ(*parse_signed("-128", -128, 127), -128);
    EXPECT_EQ(*Scalar<std::int64_t>::parse("-9223372036854775808"), INT64_MIN);
    for (const auto* text :
         {"", "65536", "-1", "+1", "1.0", "1e3", "0x10", "010", " 1", "1 ", "one", "99999999999999999999999"})
        EXPECT_FALSE(parse_unsigned(text, 65535)) << text;
    for (const auto* text : {"", "-", "--1", "-129", "128", "-01", "9999999999999999999999"})
        EXPECT_FALSE(parse_signed(text, -128, 127)) << text;
    EXPECT_EQ(parse_unsigned("70000", 65535).error().message,
              "'70000' is out of range, expected a whole number from 0 to 65535");
}

TEST(Parse, numbers_and_booleans)
{
    EXPECT_EQ(*parse_number("0.25"), 0.25);
    EXPECT_EQ(*parse_number("-1e3"), -1000);
    for (const auto* text : {"", ".", "1,5", "nan", "inf", "1e999", "0x1p3", "1 ", " 1", "+1"})
        EXPECT_FALSE(parse_number(text)) << text;
    EXPECT_TRUE(*parse_bool("true"));
    EXPECT_FALSE(*parse_bool("false"));
    for (const auto* text : {"", "yes", "on", "True", "1", "true "}) EXPECT_FALSE(parse_bool(text)) << text;
}

TEST(Parse, host_and_port)
{
    const std::map<std::string, HostPort> good{{"127.0.0.1:5000", {"127.0.0.1", 5000}},
                                               {"localhost:0", {"localhost", 0}},
                                               {"[::1]:5000", {"::1", 5000}},
                                               {"a-b.c_d:65535", {"a-b.c_d", 65535}}};
    for (const auto& [text, value] : good) {
        ASSERT_TRUE(parse_host_port(text)) << text;
        EXPECT_EQ(*parse_host_port(text), value) << text;
        EXPECT_EQ(format_host_port(value), text);
    }
    for (const auto* text : {"",
                             ":5000",
                             "localhost",
                             "localhost:",
                             "localhost:65536",
                             "localhost:-1",
                             "localhost:http",
                             "::1:5000",
                             "[::1]",
                             "[::1]5000",
                             "[::g]:1",
                             "[]:1",
                             "[::1:1",
                             "a b:1",
                             "1:1",
                             "127.0.0.256:1",
                             "127.1:1",
                             "localhost:80:80",
                             "local/host:80",
                             "*:80"})
        EXPECT_FALSE(parse_host_port(text)) << text;
}

TEST(Parse, origins)
{
    const std::map<std::string, HostPort> good{{"http://127.0.0.1:5001", {"127.0.0.1", 5001}},
                                               {"http://example.org", {"example.org", 80}},
                                               {"http://[::1]:80/", {"::1", 80}},
                                               {"http://[fe80::1]", {"fe80::1", 80}}};
    for (const auto& [text, value] : good) {
        ASSERT_TRUE(parse_http_origin(text)) << text;
        EXPECT_EQ(*parse_http_origin(text), value) << text;
    }
    for (const auto* text :
         {"", "http://", "127.0.0.1:5001", "https://a", "http://a/b", "http://a?b", "http://a#b", "http://u@a",
          "http://a:0", "http://a:", "http://a:99999", "http://a//", "ftp://a", "http:a", "http:// a"})
        EXPECT_FALSE(parse_http_origin(text)) << text;
}

RC_GTEST_PROP(Parse, what_is_formatted_parses_back, ())
{
    const Duration duration(*rc::gen::inRange<std::int64_t>(0, INT64_MAX) >> *rc::gen::inRange(0, 63));
    RC_ASSERT(*parse_duration(format_duration(duration)) == duration);
    const auto size = *rc::gen::arbitrary<std::uint64_t>() << *rc::gen::inRange(0, 63);
    RC_ASSERT(*parse_size(format_size(size)) == size);
    const auto number = *rc::gen::arbitrary<double>();
    RC_ASSERT(*parse_number(format_number(number)) == number);
}

RC_GTEST_PROP(Parse, no_text_does_harm, (const std::string& text))
{
    for (const auto& candidate : {text, "1" + text, "http://" + text, "[::1]:" + text, "127.0.0.1:" + text}) {
        const auto duration = parse_duration(candidate);
        RC_ASSERT((!duration || *duration >= Duration::zero()));
        (void)parse_size(candidate);
        (void)parse_number(candidate);
        (void)parse_signed(candidate, INT64_MIN, INT64_MAX);
        const auto address = parse_host_port(candidate);
        RC_ASSERT((!address || *parse_host_port(format_host_port(*address)) == *address));
        (void)parse_http_origin(candidate);
    }
}

TEST(DidYouMean, only_what_is_near)
{
    const std::vector<std::string> keys{"backends", "listen", "workers", "a"};
    EXPECT_EQ(did_you_mean("backend", keys), "backends");
    EXPECT_EQ(did_you_mean("lisen", keys), "listen");
    EXPECT_EQ(did_you_mean("wrokers", keys), "workers");
    EXPECT_EQ(did_you_mean("zzz", keys), std::nullopt);
    EXPECT_EQ(did_you_mean("b", keys), std::nullopt);
    EXPECT_EQ(did_you_mean("", keys), std::nullopt);
    EXPECT_EQ(did_you_mean("x", {}), std::nullopt);
}

// --- Files ---

TEST(ConfigFile, fills_what_it_names_and_leaves_the_rest)
{
    const auto value = from_yaml<Sample>(R"(
port: 8080
text: "123"
colour: green
buffer: 1MiB
inner: {delay: 2s}
words: [only]
items:
  - name: first
    numbers: [1, 2]
  - {name: second, inner: {ratio: 0.25}}
)",
                                         "f.yaml");
    Sample expected;
    expected.port = 8080;
    expected.text = "123";
    expected.colour = Colour::green;
    expected.buffer = 1 << 20;
    expected.inner.delay = seconds(2);
    expected.words = {"only"};
    expected.items = {{"first", {}, {1, 2}}, {"second", {milliseconds(5), 0.25}, {}}};
    EXPECT_EQ(value, expected);
}

TEST(ConfigFile, may_be_empty)
{
    for (const auto* yaml : {"", "\n", "# nothing\n", "---\n", "{}"})
        EXPECT_EQ(from_yaml<Sample>(yaml, "f"), Sample{}) << yaml;
}

TEST(ConfigFile, every_mistake_is_named_with_its_place)
{
    const std::vector<std::pair<std::string, std::string>> table{
        {"prot: 1",
         "f.yaml:1:1: unknown key 'prot', did you mean 'port'? expected one of: port, shift, text, loud, colour, "
         "buffer, listen, inner, words, items"},
        {"inner:\n  zzz: 1", "f.yaml:2:3: unknown key 'zzz', expected one of: delay, ratio"},
        {"port: abc", "f.yaml:1:7: port: 'abc' is not valid, expected a whole number from 0 to 65535"},
        {"port: 80", "f.yaml:1:7: port: '80' is not allowed, expected a whole number from 1024"},
        {"port: 70000", "f.yaml:1:7: port: '70000' is out of range, expected a whole number from 0 to 65535"},
        {"port: [1]", "f.yaml:1:7: port: a list, expected a whole number"},
        {"port: {a: 1}", "f.yaml:1:7: port: a mapping, expected a whole number"},
        {"port:", "f.yaml:1:1: port: empty, expected a whole number"},
        {"text: ~", "f.yaml:1:1: text: empty, expected a text"},
        {"loud: yes", "f.yaml:1:7: loud: 'yes' is not valid, expected true or false"},
        {"colour: gren", "f.yaml:1:9: colour: unknown word 'gren', did you mean 'green'? expected red | green"},
        {"buffer: 4KB",
         "f.yaml:1:9: buffer: '4KB' is not valid, expected a size such as 64KiB or 1024 (bytes, KiB, MiB, GiB)"},
        {"listen: 5000",
         "f.yaml:1:9: listen: '5000' is not valid, expected HOST:PORT such as 127.0.0.1:5000 or [::1]:5000"},
        {"inner:\n  delay: 5",
         "f.yaml:2:10: inner.delay: '5' is not valid, expected a duration such as 500ms or 2s (units "
         "ns us ms s m h)"},
        {"inner: {delay: 2h}",
         "f.yaml:1:16: inner.delay: '2h' is not allowed, expected a duration such as 500ms or 2s from 0s to 1h"},
        {"inner: 5", "f.yaml:1:8: inner: '5', expected a mapping of keys to values"},
        {"words: one", "f.yaml:1:8: words: 'one', expected a list"},
        {"words: [[a]]", "f.yaml:1:9: words[0]: a list, expected a text"},
        {"words: [a, b, c, d]", "f.yaml:1:8: words: too many, expected 3"},
        {"items: [{}]", "f.yaml:1:9: items[0].name: missing, expected 1 to 19 characters"},
        {"items: [{name: ''}]", "f.yaml:1:16: items[0].name: '' is not allowed, expected 1 to 19 characters"},
        {"items: [{name: 'x://me:secret@host.example'}]",
         "f.yaml:1:16: items[0].name: 'x://***@host.example' is not allowed, expected 1 to 19 characters"},
        {"items:\n  - name: a\n  - name: b\n    numbers: [1, x]",
         "f.yaml:4:18: items[1].numbers[1]: 'x' is not valid, expected a "
         "whole number from 0 to 4294967295"},
        {"items:\n  - name: a\n  - name: a", "f.yaml:3:11: items[1].name: duplicate, expected another"},
        {"items: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]",
         "f.yaml:1:8: items: the list is not allowed, expected fewer than 5"},
        {"port: 8080\nport: 8081", "f.yaml:2:1: duplicate key 'port', already given at f.yaml:1:1, expected it once"},
        {"- a", "f.yaml:1:1: a list, expected a mapping of keys to values"},
        {"just text", "f.yaml:1:1: 'just text', expected a mapping of keys to values"},
        {"[a]: 1", "f.yaml:1:1: a key is a list, expected a word"},
        {"text: [a",
         "f.yaml:1:9: not valid YAML: end of sequence flow not found, expected one mapping of keys to values"},
        {"text: \"a", "f.yaml:1:9: not valid YAML: illegal EOF in scalar, expected one mapping of keys to values"},
        {"port: 8080\n---\nport: 8081", "f.yaml:2:1: a second document, expected one"},
        {"port: 8080\n} x", "f.yaml:2:1: not valid YAML: illegal flow end, expected one mapping of keys to values"},
        {",", "f.yaml:1:1: a second document, expected one"},
        {"\"a\\nb\": 1",
         "f.yaml:1:1: unknown key 'a\\x0ab', expected one of: port, shift, text, loud, colour, buffer, listen, "
         "inner, words, items"},
    };
    for (const auto& [yaml, message] : table) EXPECT_EQ(error_of(yaml), message) << yaml;
}

TEST(ConfigFile, messages_stay_on_one_line_of_bounded_length)
{
    const auto message = error_of("port: \"" + std::string(10'000, 'x') + "\\n\\r\\e\"");
    EXPECT_EQ(message.find_first_of("\n\r\x1b"), std::string::npos);
    EXPECT_LT(message.size(), 200U);

    // The YAML parser quotes what it cannot read, as it is.
    EXPECT_EQ(error_of("port: \"\\\n\"").find('\n'), std::string::npos);
    EXPECT_EQ(error_of("port: \"\\\x1b\"").find('\x1b'), std::string::npos);
    EXPECT_LT(error_of("port: *" + std::string(10'000, 'x')).size(), 200U);
}

TEST(ConfigFile, deep_nesting_is_refused)
{
    EXPECT_NE(error_of("words: " + std::string(100'000, '[')).find("f.yaml:1:"), std::string::npos);
}

RC_GTEST_PROP(ConfigFile, no_text_does_harm, ())
{
    const auto piece =
        rc::gen::element<std::string>("port", "items", ":", " ", "\n", "- ", "[", "]", "{", "}", ",", "&a", "*a", "\"",
                                      "'", "name", "1", "|", ">", "#", "!!", "---", "%", "\t", "?", "<<");
    std::string yaml;
    for (const auto& part : *rc::gen::container<std::vector<std::string>>(piece)) yaml += part;
    for (const auto& message : errors_of(yaml)) {
        RC_ASSERT((message == "accepted" || message.starts_with("f.yaml:")));
        RC_ASSERT(message.find('\n') == std::string::npos);
    }
}

class TempFile {
public:
    explicit TempFile(const std::string& content)
    {
        const int fd = ::mkstemp(path_.data());
        EXPECT_GE(fd, 0);
        ::close(fd);
        std::ofstream(path_) << content;
    }
    ~TempFile() { std::remove(path_.c_str()); }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;

    const std::string& path() const { return path_; }

private:
    std::string path_ = testing::TempDir() + "config_test_XXXXXX";
};

TEST(ConfigFile, is_read_from_disk)
{
    const TempFile file("port: 9000\n");
    Sample value;
    Loader loader(value);
    loader.load_file(file.path());
    EXPECT_EQ(value.port, 9000);
}

TEST(ConfigFile, names_all_that_is_wrong_in_it)
{
    Sample value;
    Loader loader(value);
    std::vector<std::string> messages;
    try {
        loader.load("prot: 1\nport: x\nshift: 2\ninner:\n  delay: long\n  dealy: 1s\n", "f.yaml");
    } catch (const UsageError& e) {
        messages = e.messages;
    }
    ASSERT_EQ(messages.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
        constexpr std::array places{"f.yaml:1:1: ", "f.yaml:2:7: port: ", "f.yaml:5:10: inner.delay: ", "f.yaml:6:3: "};
        EXPECT_TRUE(messages[i].starts_with(places[i])) << messages[i];
    }
}

TEST(ConfigFile, names_no_more_than_a_bound_of_it)
{
    std::string yaml;
    for (int i = 0; i < 1'000; ++i) yaml += fmt::format("key{}: 1\n", i);
    Sample value;
    Loader loader(value);
    try {
        loader.load(yaml, "f.yaml");
        ADD_FAILURE() << "accepted";
    } catch (const UsageError& e) {
        EXPECT_EQ(e.messages.size(), 21U);
        EXPECT_EQ(e.messages.back(), "f.yaml: more errors are not listed");
    }
}

TEST(ConfigFile, that_cannot_be_read_is_named)
{
    Sample value;
    Loader loader(value);
    const auto message_of = [&](const std::string& path) -> std::string {
        try {
            loader.load_file(path);
        } catch (const UsageError& e) {
            return e.what();
        }
        return "accepted";
    };
    EXPECT_EQ(message_of("/nonexistent/x.yaml"),
              "/nonexistent/x.yaml: cannot be read (No such file or directory), expected a readable YAML file");
    EXPECT_EQ(message_of(testing::TempDir()),
              testing::TempDir() + ": cannot be read (Is a directory), expected a readable YAML file");
    EXPECT_EQ(message_of("/dev/zero"), "/dev/zero: larger than 1MiB, expected a YAML file");
}

// --- Precedence ---

class Sources : public testing::Test {
protected:
    const Flag& flag(const std::string& name)
    {
        for (const auto& candidate : loader_.available_flags())
            if (candidate.name == name) return candidate;
        throw std::out_of_range(name);
    }

    void environment(std::map<std::string, std::string> variables)
    {
        loader_.apply_environment([&](const std::string& name) -> std::optional<std::string> {
            const auto it = variables.find(name);
            return it == variables.end() ? std::nullopt : std::optional(it->second);
        });
    }

    template <class Call> std::string error_of_call(Call call)
    {
        try {
            call();
        } catch (const UsageError& e) {
            return e.what();
        }
        return "accepted";
    }

    Sample value_;
    Loader loader_{value_};
};

TEST_F(Sources, flag_over_environment_over_file_over_default)
{
    loader_.load("port: 2000\nshift: 2\ntext: file", "f.yaml");
    environment(
        {{"HOTSPARE_PORT", "3000"}, {"HOTSPARE_SHIFT", "3"}, {"HOTSPARE_INNER_DELAY", "3s"}, {"HOTSPARE_TEXT", ""}});
    loader_.apply(flag("port"), {"4000"}, "--port");
    loader_.complete();
    EXPECT_EQ(value_.port, 4000);
    EXPECT_EQ(value_.shift, 3);
    EXPECT_EQ(value_.inner.delay, seconds(3));
    EXPECT_EQ(value_.text, "file") << "an empty variable is none";
    EXPECT_FALSE(value_.loud);
}

TEST_F(Sources, what_a_stronger_one_overrides_is_not_judged)
{
    const TempFile file("port: nonsense\nwords: nonsense\nshift: 2\n");
    const auto variables = [](const std::string& name) -> std::optional<std::string> {
        if (name == "HOTSPARE_PORT" || name == "HOTSPARE_COLOUR") return "nonsense";
        if (name == "HOTSPARE_WORD") return "p,q";
        return std::nullopt;
    };
    EXPECT_EQ(error_of_call([&] { loader_.load_all(file.path(), variables, {}); }),
              "HOTSPARE_PORT: 'nonsense' is not valid, expected a whole number from 0 to 65535");
    loader_.load_all(file.path(), variables,
                     {{&flag("port"), {"4000"}, "--port"}, {&flag("colour"), {"green"}, "--colour"}});
    loader_.complete();
    EXPECT_EQ(value_.port, 4000);
    EXPECT_EQ(value_.shift, 2);
    EXPECT_EQ(value_.words, (std::vector<std::string>{"p", "q"}));
}

TEST_F(Sources, service_links_of_kubernetes_are_no_settings)
{
    environment({{"HOTSPARE_PORT", "tcp://10.96.0.17:5000"}, {"PORT", "3000"}});
    EXPECT_EQ(value_.port, 3000);
    ASSERT_EQ(loader_.warnings().size(), 1U);
    EXPECT_TRUE(loader_.warnings()[0].starts_with("HOTSPARE_PORT='tcp://10.96.0.17:5000' is ignored"))
        << loader_.warnings()[0];
    EXPECT_TRUE(error_of_call([&] {
                    environment({{"PORT", "tcp://10.96.0.17:5000"}});
                }).starts_with("PORT: "))
        << "a variable of that name is written by hand";
}

TEST_F(Sources, the_port_has_a_second_variable)
{
    environment({{"PORT", "3000"}});
    EXPECT_EQ(value_.port, 3000);
    environment({{"PORT", "3000"}, {"HOTSPARE_PORT", "3001"}});
    EXPECT_EQ(value_.port, 3001);
}

TEST_F(Sources, repeatable_flags_replace_the_list)
{
    loader_.load("words: [x, y, z]", "f.yaml");
    environment({{"HOTSPARE_WORD", "p,q"}});
    EXPECT_EQ(value_.words, (std::vector<std::string>{"p", "q"}));
    loader_.apply(flag("word"), {"r"}, "--word");
    EXPECT_EQ(value_.words, (std::vector<std::string>{"r"}));
}

TEST_F(Sources, messages_name_the_flag_or_the_variable)
{
    EXPECT_EQ(error_of_call([&] { loader_.apply(flag("port"), {"x"}, "--port"); }),
              "--port: 'x' is not valid, expected a whole number from 0 to 65535");
    EXPECT_EQ(error_of_call([&] { loader_.apply(flag("port"), {"1"}, "--port"); }),
              "--port: '1' is not allowed, expected a whole number from 1024");
    EXPECT_EQ(error_of_call([&] {
                  environment({{"HOTSPARE_COLOUR", "blue"}});
              }),
              "HOTSPARE_COLOUR: unknown word 'blue', expected red | green");
}

TEST_F(Sources, what_is_found_in_the_end_is_blamed_on_who_said_it_last)
{
    loader_.load("words: [x, y, z, z]", "f.yaml");
    loader_.apply(flag("word"), {"1", "2", "3", "4"}, "--word");
    EXPECT_EQ(error_of_call([&] { loader_.complete(); }), "--word: too many, expected 3");
}

TEST_F(Sources, switches_are_known_as_such)
{
    EXPECT_TRUE(flag("loud").is_switch);
    EXPECT_FALSE(flag("port").is_switch);
    EXPECT_EQ(flag("inner-delay").variables(), (std::vector<std::string>{"HOTSPARE_INNER_DELAY"}));
}

// --- Printing ---

std::string any_text()
{
    const auto tricky = rc::gen::element<std::string>("", "~", "null", "Null", "true", "a: b", "- a", "[", "{a}", "#x",
                                                      "a #b", " a", "a ", "a:", "'", "\"", "\\", "\n", "\t", "&a", "*a",
                                                      "!a", "|", ">", "%", "@", "`", "é", "0x1", "1e3", "\x01", "\x7f",
                                                      "-", "--", "/", "[::1]:80", "\xE2\x80\xA8");
    std::string out;
    for (const auto& part : *rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(tricky))) out += part;
    return out;
}

config_test::Inner any_inner()
{
    return {Duration(*rc::gen::inRange<std::int64_t>(0, 3'600'000'000'000)),
            std::abs(*rc::gen::suchThat(rc::gen::arbitrary<double>(), [](double d) { return std::abs(d) <= 1e300; }))};
}

RC_GTEST_PROP(Print, loads_back_to_the_same_value, ())
{
    Sample value;
    value.port = *rc::gen::inRange<std::uint16_t>(1024, 65535);
    value.shift = *rc::gen::arbitrary<std::int32_t>();
    value.text = any_text();
    value.loud = *rc::gen::arbitrary<bool>();
    value.colour = *rc::gen::element(Colour::red, Colour::green);
    value.buffer = *rc::gen::inRange<std::size_t>(1, 1 << 30);
    value.listen = {*rc::gen::element<std::string>("::1", "localhost", "10.0.0.1"),
                    *rc::gen::arbitrary<std::uint16_t>()};
    value.inner = any_inner();
    value.words.clear();
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) value.words.push_back(any_text());
    for (int i = *rc::gen::inRange(0, 5); i > 0; --i)
        value.items.push_back(
            {fmt::format("item {}", i), any_inner(), *rc::gen::resize(3, rc::gen::arbitrary<std::vector<unsigned>>())});
    const auto yaml = to_yaml(value);
    RC_LOG() << yaml;
    RC_ASSERT(from_yaml<Sample>(yaml, "f.yaml") == value);
}

TEST(Print, hides_secrets_from_people)
{
    using config_test::Locked;
    Locked value{"geheim", "postgres://me:geheim@db:5432/shop?password=geheim", "https://hooks.example/geheim/1"};
    EXPECT_EQ(Loader(value).print(), R"(token: "***"                          # whole
store: "postgres://***@db:5432/shop?***"  # in a URL
hook: "https://hooks.example/***"     # in a path
headers: []                           # behind a name
)");
    EXPECT_EQ(from_yaml<Locked>(to_yaml(value), "f.yaml"), value) << "a file that is read again has them";
    Locked nothing;
    EXPECT_EQ(Loader(nothing).print().find('*'), std::string::npos) << "what is not set is shown as not set";
    EXPECT_EQ(Loader(value).reference().find("geheim"), std::string::npos);
    const Loader loader(value);
    for (const Flag& flag : loader.available_flags())
        EXPECT_EQ(flag.help.find("geheim"), std::string::npos) << flag.help;
}

TEST(Print, hides_what_may_be_a_secret_in_any_url)
{
    const struct {
        const char *url, *shown, *without_path;
    } cases[]{
        {"redis://:geheim@h", "redis://***@h", "redis://***"},
        {"http://h", "http://h", "http://h"},
        {"http://h/geheim", "http://h/geheim", "http://h/***"},
        {"http://h?key=geheim", "http://h?***", "http://h/***"},
        {"https://me:ge/heim@h/x", "https://***@h/x", "https://***"},
        {"https://h/geheim@geheim", "https://***@geheim", "https://***"},
    };
    for (const auto& [url, shown, without_path] : cases) {
        EXPECT_EQ(without_secret(url, Secret::url), shown);
        EXPECT_EQ(without_secret(url, Secret::url_path), without_path);
        EXPECT_EQ(without_secret(url, Secret::whole), "***");
        EXPECT_EQ(without_secret(url, Secret::no), url);
    }
}

TEST(Print, hides_the_values_of_header_fields_one_by_one)
{
    EXPECT_EQ(without_secret("Authorization: Bearer geheim", Secret::field), "Authorization: ***");
    EXPECT_EQ(without_secret("X-Key:geheim", Secret::field), "X-Key: ***");
    EXPECT_EQ(without_secret("geheim", Secret::field), "***") << "it may be that the name was forgotten";
    config_test::Locked value;
    value.headers = {"Authorization: Bearer geheim", "X-Key:geheim"};
    Loader loader(value);
    EXPECT_NE(loader.print().find(R"(headers: ["Authorization: ***", "X-Key: ***"])"), std::string::npos)
        << loader.print();
    EXPECT_EQ(from_yaml<config_test::Locked>(loader.print(Loader::Secrets::shown), "f.yaml").headers, value.headers);
    EXPECT_THROW(loader.load("headers: ['X-Key: ***']", "f.yaml"), UsageError);
}

TEST(Print, is_refused_where_it_hides_a_secret)
{
    using config_test::Locked;
    Locked value{"geheim", "postgres://me:geheim@db/shop", "https://hooks.example/geheim"};
    for (const auto& [yaml, said] : std::vector<std::pair<std::string, std::string>>{
             {"token: '***'", "f.yaml:1:8: token: has the placeholder *** that --print-config prints"},
             {"store: postgres://***@db/shop", "store: has the placeholder"},
             {"store: postgres://db/shop?***", "store: has the placeholder"},
             {"hook: https://hooks.example/***", "hook: has the placeholder"},
             {"hook: https://***", "hook: has the placeholder"},
             {Loader(value).print(), "has the placeholder"},
             {"token: wrong", "token: '***' is not allowed, expected a token"},
             {"store: x://me:geheim@db", "store: 'x://***@db' is not allowed"},
             {"hook: x://hooks.example/geheim", "hook: 'x://hooks.example/***' is not allowed"}}) {
        try {
            from_yaml<Locked>(yaml, "f.yaml");
            ADD_FAILURE() << "accepted: " << yaml;
        } catch (const UsageError& e) {
            EXPECT_NE(std::string(e.what()).find(said), std::string::npos) << e.what();
            EXPECT_EQ(std::string(e.what()).find("geheim"), std::string::npos) << e.what();
        }
    }
    const std::string odd = "store: postgres://me:***x@db/shop*";
    EXPECT_EQ(from_yaml<Locked>(odd, "f.yaml").store, odd.substr(7)) << "a password may have asterisks";
}

TEST(Print, is_readable)
{
    Sample value;
    value.items = {{"first", {}, {1, 2}}, {"second", {}, {}}};
    EXPECT_EQ(to_yaml(value), R"(port: 5000                            # where
shift: "-1"                           # signed
text: x                               # anything
loud: false                           # yes or no
colour: red                           # one of two
buffer: 64KiB                         # bytes
listen: 127.0.0.1:80                  # address
inner:                                # nested
  delay: 5ms                          # how long
  ratio: 0.5                          # how much
words: [a, b]                         # texts
items:                                # things
  - name: first                       # which
    inner:                            # nested
      delay: 5ms                      # how long
      ratio: 0.5                      # how much
    numbers: [1, 2]                   # some
  - name: second
    inner:
      delay: 5ms
      ratio: 0.5
    numbers: []
)");
}

/// With one blank wherever a line was broken.
std::string unwrapped(const std::string& text)
{
    std::istringstream words(text);
    std::string out;
    for (std::string word; words >> word;) out += word + ' ';
    return out;
}

TEST(Reference, lists_every_key_also_those_of_empty_lists)
{
    Sample value;
    const auto text = Loader(value).reference();
    for (const auto* key :
         {"port ", "inner.delay ", "items[] ", "items[].name ", "items[].inner.ratio ", "items[].numbers "})
        EXPECT_NE(("\n" + text).find(std::string("\n") + key), std::string::npos) << key << "in\n" << text;
    EXPECT_NE(unwrapped(text).find("how long [a duration such as 500ms or 2s from 0s to 1h; default 5ms]"),
              std::string::npos)
        << text;
}

} // namespace TEST_FILE
} // namespace hotspare::config

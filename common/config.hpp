// Typed settings from a YAML file, the environment and flags, strictly: an unknown key, a wrong type, a bad unit, a
// duplicate or an out-of-range number is a UsageError of one line that says where it stands (file:line:column, the
// variable's or the flag's name), what is wrong and what was expected. Nothing is guessed.
//
// A settings struct is declared once, in a function that this module finds beside the struct:
//
//     struct Settings { std::uint16_t port = 5001; Duration delay = milliseconds(50); };
//
//     void fields(config::Fields& field, Settings& s)
//     {
//         field("port", s.port, "port to listen on; 0 = any free one");
//         field("delay", s.delay, "added to each answer by the failure mode slow", {milliseconds(0), seconds(60)});
//     }
//
// That serves the file, the flags (--port, --delay), the environment (HOTSPARE_PORT, HOTSPARE_DELAY), --print-config,
// whose output loads back to the same value unless it hides a secret, and the key reference. A member may be a scalar,
// a struct with its own fields(), or a vector of either; structs nested without a vector get flags too
// (--timeouts-request).
//
// Three more functions beside the struct are optional: `void flags(config::Flags&, Settings&)` adds flags that are no
// keys, `void finish(Settings&, const config::Places&)` completes the value and checks what spans several keys,
// `std::vector<std::string> without_effect(const Settings&, const config::Places&)` names what is valid and has no
// effect.
//
// Single-threaded, at start-up. The members that a Loader refers to must outlive it.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"

#include <nlohmann/json_fwd.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hotspare::config {

// --- Values as text --------------------------------------------------------------------------------------------------

/// Why a text is not a value: "'5x' is not valid, expected a duration such as 500ms".
struct ParseError {
    std::string message;
};
/// What value() of a failed result does: throws UsageError.
[[noreturn]] void throw_exception_from_error(const ParseError& error, const boost::source_location& where);

template <class T> using Parsed = boost::system::result<T, ParseError>;

/// `text` as it may stand in a message: in quotes, without control characters, of bounded length.
std::string in_quotes(std::string_view text);

/// A URL as it may stand in a message: whatever it is, what stands before its last '@' may be a password.
std::string without_password(std::string_view text);

/// Which part of a value is left out of messages, logs and the output of --print-config.
enum class Secret : std::uint8_t {
    no,
    whole,    ///< all of it: a token, a hash of a password
    url,      ///< of a URL what stands before its '@' and behind its '?'
    url_path, ///< of a URL also its path: that of a webhook is a credential
    field,    ///< of a header field `NAME: VALUE` its value
};

/// The text with a placeholder, `***`, for what is secret. Nothing stays nothing.
std::string without_secret(std::string_view text, Secret secret);

/// "<text> is not valid, expected <expected>", for a Scalar of your own.
ParseError not_valid(std::string_view text, std::string_view expected);

struct HostPort {
    std::string host; ///< a name or an address; an IPv6 address without its brackets
    std::uint16_t port = 0;

    bool operator==(const HostPort&) const = default;
};

/// A whole number with a unit, ns us ms s m h; `0` needs none. Never negative.
Parsed<Duration> parse_duration(std::string_view text);
/// Bytes: a whole number, plain or with KiB, MiB, GiB.
Parsed<std::uint64_t> parse_size(std::string_view text);
Parsed<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max);
Parsed<std::int64_t> parse_signed(std::string_view text, std::int64_t min, std::int64_t max);
/// A finite decimal number.
Parsed<double> parse_number(std::string_view text);
/// `true` or `false`.
Parsed<bool> parse_bool(std::string_view text);
/// HOST:PORT, with an IPv6 address in brackets. The host is not looked up.
Parsed<HostPort> parse_host_port(std::string_view text);
/// http://HOST[:PORT] with nothing behind it but an optional '/'; the port defaults to 80.
Parsed<HostPort> parse_http_origin(std::string_view text);

/// The shortest form that parses back to the same value.
std::string format_duration(Duration value);
std::string format_size(std::uint64_t value);
std::string format_number(double value);
std::string format_host_port(const HostPort& value);

/// How a type T is read and written: parse(), format() and expected(), the end of the sentence "expected …". Specialise
/// it for a scalar of your own.
template <class T> struct Scalar;

/// The words for an enumeration: specialise with a constexpr range `names` of pairs {word, value}.
template <class E> struct EnumNames;

/// Declares an unsigned member as a number of bytes: field("header", Bytes{limits.header}, "…").
struct Bytes {
    std::uint64_t& value;
};

// --- Rules -----------------------------------------------------------------------------------------------------------

/// What a value must satisfy beyond its type. Numbers and durations: {min, max}, both optional and inclusive.
template <class T> struct Rule {
    std::optional<T> min = std::nullopt;
    std::optional<T> max = std::nullopt;

    bool satisfied_by(const T& value) const { return (!min || value >= *min) && (!max || value <= *max); }
    std::string expected() const
    {
        std::string out = Scalar<T>::expected();
        if (min) out += " from " + Scalar<T>::format(*min);
        if (max) out += (min ? " to " : " up to ") + Scalar<T>::format(*max);
        return out;
    }
};

/// Texts and lists: {valid, expected, secret}. The secret of a list is that of each of its texts. A key whose default
/// does not satisfy its rule must be given.
template <class T>
requires(std::is_class_v<T> && !std::same_as<T, Duration>) struct Rule<T> {
    bool (*valid)(const T&) = nullptr;
    const char* what = ""; ///< ends the sentence "expected …"
    Secret secret = Secret::no;

    bool satisfied_by(const T& value) const { return !valid || valid(value); }
    std::string expected() const { return what; }
};

/// What several settings of the suite ask for: {is_name, a_name}, {is_target, a_target} and so on.
bool is_name(const std::string& text);
inline constexpr auto a_name = "a name of 1 to 64 lower-case letters, digits, _ and -";
/// RFC 9112 §3.2.1, what a request line may name without a host: visible ASCII without a fragment.
bool is_target(const std::string& text);
inline constexpr auto a_target = "a path that starts with '/', without blanks";
bool is_http_origin(const std::string& text);
inline constexpr auto an_http_origin = "http://HOST[:PORT] without a path";

// --- Descriptions ----------------------------------------------------------------------------------------------------

/// A type-erased handle to a member: how to read, write and describe it. problem() and assign() return what is wrong,
/// or nothing.
struct Value {
    enum class Kind { scalar, list, table };
    struct Member;

    Kind kind = Kind::scalar;
    std::string expected;                 ///< by the type
    std::string wanted;                   ///< by the rule
    std::function<std::string()> problem; ///< what is wrong with the present value by the rule

    std::function<std::string(std::string_view)> assign; ///< scalar
    std::function<std::string()> text;                   ///< scalar
    Secret secret = Secret::no;                          ///< scalar: what text() must not show to people
    /// Of a scalar: what it is in JSON. As a flag a truth value needs no value.
    enum class Type { text, number, truth } type = Type::text;

    std::function<std::size_t()> size;       ///< list
    std::function<void(std::size_t)> resize; ///< list
    std::function<Value(std::size_t)> at;    ///< list; valid until the next resize
    std::function<Value()> prototype;        ///< list: an element with its defaults

    std::vector<Member> members; ///< table

    /// A scalar's text as people may read it.
    std::string shown() const { return without_secret(text(), secret); }
};

struct Value::Member {
    std::string key;
    std::string help;
    Value value;
};

class Fields;

template <class T>
concept Table = requires(Fields& field, T& table)
{
    fields(field, table);
};

template <class T> Value describe(T& member, Rule<T> rule = {});

/// Passed to fields(): each call declares one key.
class Fields {
public:
    template <class T>
    void operator()(std::string key, T& member, std::string help, std::type_identity_t<Rule<T>> rule = {})
    {
        members.push_back({std::move(key), std::move(help), describe(member, std::move(rule))});
    }
    void operator()(std::string key, Bytes member, std::string help, Rule<std::uint64_t> rule = {});

    std::vector<Value::Member> members;
};

/// Where each value came from, by key path ("pools[0].probe.interval").
class Places {
public:
    /// `path` and everything below it came from `place`.
    void set(const std::string& path, std::string place);

    /// Whether `path` itself was set in any source.
    bool contains(std::string_view path) const { return places_.find(path) != places_.end(); }

    /// The place of `path` or of its nearest ancestor; empty if no source set any of them.
    std::string of(std::string_view path) const;

    /// "<place>: <path>: <message>", of which a flag or a variable as the place names the path by itself.
    std::string describe(std::string_view path, std::string_view message) const;

    /// Throws that as a UsageError.
    [[noreturn]] void fail(std::string_view path, std::string_view message) const;

private:
    std::map<std::string, std::string, std::less<>> places_;
};

/// A flag with its environment variables.
struct Flag {
    std::string name; ///< "fail-mode" is --fail-mode and HOTSPARE_FAIL_MODE; "port" is also PORT
    std::string metavar;
    std::string help;
    std::string path;        ///< the key path that it sets
    bool is_switch = false;  ///< needs no value
    bool repeatable = false; ///< several values, in the environment separated by commas; they replace the file's
    /// Gets every value that was given (one unless repeatable); returns what is wrong, or nothing.
    std::function<std::string(const std::vector<std::string>&)> assign;

    std::vector<std::string> variables() const; ///< in order of precedence
};
using Flags = std::vector<Flag>;

// --- Loading ---------------------------------------------------------------------------------------------------------

/// What one flag, or a variable in its place, was given.
struct Given {
    const Flag* flag; ///< one of Loader::available_flags()
    std::vector<std::string> values;
    std::string place; ///< how messages call it
};

/// A variable's value, or nothing.
using Lookup = std::function<std::optional<std::string>(const std::string& variable)>;

/// Fills one settings struct, whose values at construction are the defaults. Call load_all(), or load(),
/// apply_environment() and apply() in this order, each where wanted; then complete(). Every failure is a UsageError;
/// that of a file names all that is wrong in it, up to a bound.
class Loader {
public:
    template <class Settings>
    requires Table<Settings>
    explicit Loader(Settings& settings) : root_(describe(settings))
    {
        add_flags("", root_);
        if constexpr (requires(Flags & list) { flags(list, settings); }) flags(flags_, settings);
        if constexpr (requires(const Places& places) { finish(settings, places); })
            finish_ = [&settings](const Places& places) { finish(settings, places); };
        if constexpr (requires(const Places& places) { without_effect(settings, places); })
            warn_ = [&settings](const Places& places) { return without_effect(settings, places); };
    }

    const Flags& available_flags() const noexcept { return flags_; }

    /// Takes each key from the strongest source that gives it: command line, environment, file (empty: none). A value
    /// that a stronger source overrides is not judged.
    void load_all(const std::string& file, const Lookup& environment, const std::vector<Given>& command_line);

    /// Reads YAML; an empty document changes nothing. `name` stands for the file in messages.
    void load(const std::string& yaml, const std::string& name);
    void load_file(const std::string& path);
    /// Reads JSON instead, by the same rules; numbers and truth values must be that in JSON, too. Messages begin with
    /// the path of the key, "routes[2].prefix: ...".
    void load_json(const nlohmann::json& document);

    /// An empty variable counts as not set. So does HOTSPARE_…_PORT=tcp://ADDRESS:PORT, with a warning: Kubernetes
    /// gives every container such a variable for each service of its namespace ("service links"), and a service called
    /// `hotspare` makes it HOTSPARE_PORT.
    void apply_environment(const Lookup& lookup);

    /// Sets what one flag says. `place` is how messages call it.
    void apply(const Flag& flag, const std::vector<std::string>& values, const std::string& place);

    /// What was passed over and why, and after complete() what has no effect; a sentence each.
    const std::vector<std::string>& warnings() const noexcept { return warnings_; }

    /// Refuses missing keys, then runs finish() and warnings() of the settings.
    void complete();

    /// The present value as YAML with the keys' meaning as comments. With its secrets, load() of it yields the same
    /// value; without them it is for people, and load() refuses the placeholders.
    enum class Secrets : bool { hidden, shown };
    std::string print(Secrets secrets = Secrets::hidden) const;

    /// Every key with what it expects, its default at the time of the call, and its meaning, one per line.
    std::string reference() const;

private:
    void add_flags(const std::string& prefix, const Value& table);
    void require(const std::string& path, const Value& value, std::vector<std::string>& missing) const;
    std::vector<Given> given_by(const Lookup& lookup);

    Value root_;
    Flags flags_;
    std::function<void(const Places&)> finish_;
    std::function<std::vector<std::string>(const Places&)> warn_;
    Places places_;
    std::set<std::string> overridden_; ///< key paths that the file does not decide
    std::vector<std::string> warnings_;
};

/// Loads `settings` (holding the defaults) from YAML alone.
template <class Settings> Settings from_yaml(const std::string& yaml, const std::string& name, Settings settings = {})
{
    Loader loader(settings);
    loader.load(yaml, name);
    loader.complete();
    return settings;
}

/// With its secrets.
template <class Settings> std::string to_yaml(Settings settings)
{
    return Loader(settings).print(Loader::Secrets::shown);
}

/// Of a table, as JSON, the keys whose values are others than in `defaults`, which describes another one of its type.
nlohmann::ordered_json json_of_changed(const Value& table, const Value& defaults, Loader::Secrets secrets);

/// The candidate nearest to `word` by edit distance, if near enough to be what was meant.
std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// "unknown <what> '<name>', did you mean '<nearest>'? expected one of: <known>".
std::string unknown_name(std::string_view what, std::string_view name, const std::vector<std::string>& known);

// --- Below: how the parts above meet ---------------------------------------------------------------------------------

namespace detail {

ParseError unknown_word(std::string_view word, const std::vector<std::string>& words);
std::string not_allowed(std::string_view shown, std::string_view expected);
/// What is wrong with a text that stands where a secret should, if it is what without_secret() makes of one.
std::string placeholder_problem(std::string_view text, Secret secret);
/// What is wrong with a text that is no number of the wanted type, in the words of the rule instead of the type's.
std::string no_such_number(std::string_view text, std::string_view expected);

} // namespace detail

template <> struct Scalar<std::string> {
    static Parsed<std::string> parse(std::string_view text) { return {boost::system::in_place_value, text}; }
    static std::string format(const std::string& value) { return value; }
    static std::string expected() { return "a text"; }
};

template <> struct Scalar<bool> {
    static Parsed<bool> parse(std::string_view text) { return parse_bool(text); }
    static std::string format(bool value) { return value ? "true" : "false"; }
    static std::string expected() { return "true or false"; }
};

template <> struct Scalar<double> {
    static Parsed<double> parse(std::string_view text) { return parse_number(text); }
    static std::string format(double value) { return format_number(value); }
    static std::string expected() { return "a number"; }
};

template <> struct Scalar<Duration> {
    static Parsed<Duration> parse(std::string_view text) { return parse_duration(text); }
    static std::string format(Duration value) { return format_duration(value); }
    static std::string expected() { return "a duration such as 500ms or 2s"; }
};

template <> struct Scalar<HostPort> {
    static Parsed<HostPort> parse(std::string_view text) { return parse_host_port(text); }
    static std::string format(const HostPort& value) { return format_host_port(value); }
    static std::string expected() { return "HOST:PORT"; }
};

template <std::integral T> struct Scalar<T> {
    static Parsed<T> parse(std::string_view text)
    {
        const auto narrow = [](auto wide) -> Parsed<T> {
            if (!wide) return wide.error();
            return static_cast<T>(*wide);
        };
        if constexpr (std::unsigned_integral<T>)
            return narrow(parse_unsigned(text, std::numeric_limits<T>::max()));
        else
            return narrow(parse_signed(text, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
    }
    static std::string format(T value) { return std::to_string(value); }
    static std::string expected() { return "a whole number"; }
};

template <class E>
requires std::is_enum_v<E>
struct Scalar<E> {
    static Parsed<E> parse(std::string_view text)
    {
        for (const auto& [word, value] : EnumNames<E>::names)
            if (word == text) return value;
        std::vector<std::string> words;
        words.reserve(EnumNames<E>::names.size());
        for (const auto& [word, value] : EnumNames<E>::names) words.emplace_back(word);
        return detail::unknown_word(text, words);
    }
    static std::string format(E value)
    {
        for (const auto& [word, candidate] : EnumNames<E>::names)
            if (candidate == value) return std::string(word);
        return {};
    }
    static std::string expected()
    {
        std::string out;
        for (const auto& [word, value] : EnumNames<E>::names) out += (out.empty() ? "" : " | ") + std::string(word);
        return out;
    }
};

namespace detail {

template <class T> struct IsVector : std::false_type {
};
template <class T> struct IsVector<std::vector<T>> : std::true_type {
};

template <class T> Value describe_scalar(T& member, Rule<T> rule)
{
    Value out;
    out.expected = Scalar<T>::expected();
    out.wanted = rule.expected();
    if constexpr (std::is_same_v<T, bool>)
        out.type = Value::Type::truth;
    else if constexpr (std::is_arithmetic_v<T>)
        out.type = Value::Type::number;
    out.text = [&member] { return Scalar<T>::format(member); };
    if constexpr (requires { rule.secret; }) out.secret = rule.secret;
    const Secret secret = out.secret;
    out.problem = [&member, rule, secret]() -> std::string {
        if (rule.satisfied_by(member)) return {};
        const std::string text = Scalar<T>::format(member);
        // A wrong value may be that of another key, which is a secret.
        return not_allowed(in_quotes(secret == Secret::no ? without_password(text) : without_secret(text, secret)),
                           rule.expected());
    };
    out.assign = [&member, rule, secret](std::string_view text) -> std::string {
        if (auto problem = placeholder_problem(text, secret); !problem.empty()) return problem;
        auto parsed = Scalar<T>::parse(text);
        if constexpr (std::integral<T> && !std::same_as<T, bool>)
            if (!parsed && rule.max) return no_such_number(text, rule.expected());
        if (!parsed) return parsed.error().message;
        member = std::move(*parsed);
        return {};
    };
    return out;
}

template <class E> Value describe_list(std::vector<E>& member, Rule<std::vector<E>> rule)
{
    Value out;
    out.kind = Value::Kind::list;
    out.expected = "a list";
    out.wanted = rule.expected();
    out.problem = [&member, rule]() -> std::string {
        if (rule.satisfied_by(member)) return {};
        return not_allowed(member.empty() ? "an empty list" : "the list", rule.expected());
    };
    out.size = [&member] { return member.size(); };
    out.resize = [&member](std::size_t n) {
        member.clear(); // elements start from their defaults
        member.resize(n);
    };
    Rule<E> of_each;
    if constexpr (requires { of_each.secret; }) of_each.secret = rule.secret;
    out.at = [&member, of_each](std::size_t i) { return describe(member[i], of_each); };
    out.prototype = [element = std::make_shared<E>()] { return describe(*element); };
    return out;
}

template <class T> Value describe_table(T& member)
{
    Fields collector;
    fields(collector, member);
    Value out;
    out.kind = Value::Kind::table;
    out.expected = "a mapping of keys to values";
    out.problem = [] { return std::string(); };
    out.members = std::move(collector.members);
    return out;
}

} // namespace detail

template <class T> Value describe(T& member, Rule<T> rule)
{
    if constexpr (Table<T>)
        return detail::describe_table(member);
    else if constexpr (detail::IsVector<T>::value)
        return detail::describe_list(member, std::move(rule));
    else
        return detail::describe_scalar(member, std::move(rule));
}

} // namespace hotspare::config

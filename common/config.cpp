#include "common/config.hpp"

#include "common/columns.hpp"
#include "common/json_document.hpp"
#include "common/text.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include <arpa/inet.h>

namespace hotspare::config {
namespace {

constexpr std::string_view placeholder = "***";

/// Printable and of bounded length.
std::string quotable(std::string_view text)
{
    constexpr std::size_t longest = 80;
    // Shortened first, as a long text may be very long; one byte more than fits lets shortened() see that it is.
    return printable(shortened(std::string(text.substr(0, longest + 1)), longest));
}

ParseError out_of_range(std::string_view text, std::string_view expected)
{
    return {fmt::format("{} is out of range, expected {}", in_quotes(text), expected)};
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/// Decimal digits only. A leading zero is refused because YAML 1.1 reads it as octal and people do not.
bool is_decimal(std::string_view text)
{
    return !text.empty() && std::all_of(text.begin(), text.end(), is_digit) && (text.size() == 1 || text[0] != '0');
}

/// Of a text for which is_decimal() holds; nothing if it exceeds 64 bits.
std::optional<std::uint64_t> to_unsigned(std::string_view digits)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{}) return std::nullopt;
    return value;
}

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::array duration_units{Unit{"h", 3'600'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"s", 1'000'000'000},
                                    Unit{"ms", 1'000'000},        Unit{"us", 1'000},         Unit{"ns", 1}};
constexpr std::array size_units{Unit{"GiB", 1 << 30}, Unit{"MiB", 1 << 20}, Unit{"KiB", 1 << 10}, Unit{"", 1}};

/// A whole number followed by one of `units`, as their product, at most `max`.
template <std::size_t N>
Parsed<std::uint64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units, std::uint64_t max,
                                      std::string_view expected)
{
    const auto unit_at = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
    const auto digits = text.substr(0, unit_at);
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const Unit& candidate) { return candidate.name == text.substr(unit_at); });
    if (!is_decimal(digits) || unit == units.end()) return not_valid(text, expected);
    const auto number = to_unsigned(digits);
    if (!number || *number > max / unit->factor) return out_of_range(text, expected);
    return *number * unit->factor;
}

/// The largest unit that divides `value`.
template <std::size_t N> std::string format_with_unit(std::uint64_t value, const std::array<Unit, N>& units)
{
    for (const auto& unit : units)
        if (value % unit.factor == 0 && value >= unit.factor)
            return fmt::format("{}{}", value / unit.factor, unit.name);
    return "0";
}

bool is_host_name(std::string_view host)
{
    const bool allowed = std::all_of(host.begin(), host.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_';
    });
    if (host.empty() || host.size() > 253 || !allowed) return false;
    // Resolvers take "1" or "127.1" for addresses; an address in digits must be complete.
    const bool numeric = std::all_of(host.begin(), host.end(), [](char c) { return is_digit(c) || c == '.'; });
    in_addr address{};
    return !numeric || inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
}

bool is_ipv6_address(std::string_view host)
{
    in6_addr address{};
    return inet_pton(AF_INET6, std::string(host).c_str(), &address) == 1;
}

/// Splits "host:port", "[v6]:port" or, if the port may be absent, "host" and "[v6]".
struct Authority {
    std::string_view host;
    std::optional<std::string_view> port;
};

std::optional<Authority> split_authority(std::string_view text)
{
    Authority out;
    std::string_view rest;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos) return std::nullopt;
        out.host = text.substr(1, close - 1);
        rest = text.substr(close + 1);
        if (!is_ipv6_address(out.host)) return std::nullopt;
    } else {
        out.host = text.substr(0, text.find(':'));
        rest = text.substr(out.host.size());
        if (!is_host_name(out.host)) return std::nullopt;
    }
    if (rest.empty()) return out;
    if (rest[0] != ':') return std::nullopt;
    out.port = rest.substr(1);
    return out;
}

constexpr auto a_size = "a size such as 64KiB or 1024 (bytes, KiB, MiB, GiB)";
constexpr std::uint16_t max_port = 65535;

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> before_last;
    std::vector<std::size_t> last(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::vector<std::size_t> row(b.size() + 1, i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        before_last = std::exchange(last, std::move(row));
    }
    return last.back();
}

std::string join(const std::string& path, const std::string& key)
{
    return path.empty() ? key : path + "." + key;
}

std::string element(const std::string& path, std::size_t index)
{
    return fmt::format("{}[{}]", path, index);
}

std::string kind_of(const YAML::Node& node)
{
    if (node.IsMap()) return "a mapping";
    if (node.IsSequence()) return "a list";
    return node.IsScalar() ? in_quotes(node.Scalar()) : "empty";
}

/// Where the parser gave up. At the end of the text it knows the position, but no longer the line.
YAML::Mark mark_of(const YAML::Exception& error, const std::string& yaml)
{
    YAML::Mark out = error.mark;
    if (out.pos < static_cast<int>(yaml.size())) return out;
    out.pos = static_cast<int>(yaml.size());
    out.line = static_cast<int>(std::count(yaml.begin(), yaml.end(), '\n'));
    out.column = static_cast<int>(yaml.size() - (yaml.rfind('\n') + 1));
    return out;
}

class DocumentStarts final : public YAML::EventHandler {
public:
    void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}

    YAML::Mark last;
};

/// Where a second document starts, if one does. YAML::LoadAll() would say so too, but yaml-cpp 0.7 takes some junk
/// after a document, a lone comma for one, for an endless row of empty documents.
std::optional<YAML::Mark> second_document(const std::string& yaml)
{
    std::istringstream stream(yaml);
    YAML::Parser parser(stream);
    DocumentStarts starts;
    if (!parser.HandleNextDocument(starts) || !parser.HandleNextDocument(starts)) return std::nullopt;
    return starts.last;
}

/// Reads one YAML document into a Value, noting where everything stood.
class Reader {
public:
    /// What is at one of the paths `passed_over` is not looked at.
    Reader(std::string file, Places& places, const std::set<std::string>& passed_over)
        : file_(std::move(file)), places_(places), passed_over_(passed_over)
    {
    }

    std::string at(const YAML::Mark& mark) const
    {
        return mark.is_null() ? file_ + ":1:1" : fmt::format("{}:{}:{}", file_, mark.line + 1, mark.column + 1);
    }

    /// All of it. Throws one UsageError for everything that is wrong in it.
    void read_document(const YAML::Node& root, const Value& value)
    {
        attempt([&] { read(root, value, ""); });
        if (!errors_.empty()) throw UsageError(std::move(errors_));
    }

private:
    static constexpr std::size_t most_errors = 20;

    /// Notes what `read_part` throws, so that the rest is read too.
    template <class F> void attempt(F&& read_part)
    {
        if (errors_.size() >= most_errors) return;
        try {
            read_part();
        } catch (const UsageError& e) {
            errors_.push_back(e.what());
            if (errors_.size() == most_errors) errors_.push_back(file_ + ": more errors are not listed");
        }
    }

    /// The place of `path` must have been noted.
    void read(const YAML::Node& node, const Value& value, const std::string& path)
    {
        // Aliases let a short file stand for any number of values, so it is not the file's size that bounds the work.
        constexpr std::size_t most_values = 100'000;
        if (++values_ > most_values) {
            errors_.resize(most_errors - 1); // nothing else is worth reading
            places_.fail(path, fmt::format("value {}, counting what aliases repeat, expected fewer", values_));
        }
        switch (value.kind) {
        case Value::Kind::scalar: read_scalar(node, value, path); break;
        case Value::Kind::list: read_list(node, value, path); break;
        case Value::Kind::table: read_table(node, value, path); break;
        }
        check(path, value.problem());
    }

    void check(const std::string& path, const std::string& problem) const
    {
        if (!problem.empty()) places_.fail(path, problem);
    }

    void wrong_type(const YAML::Node& node, const Value& value, const std::string& path) const
    {
        places_.fail(path, fmt::format("{}, expected {}", kind_of(node), value.expected));
    }

    void read_scalar(const YAML::Node& node, const Value& value, const std::string& path) const
    {
        if (!node.IsScalar()) wrong_type(node, value, path);
        check(path, value.assign(node.Scalar()));
    }

    void read_list(const YAML::Node& node, const Value& value, const std::string& path)
    {
        if (!node.IsSequence()) wrong_type(node, value, path);
        value.resize(node.size());
        std::size_t i = 0;
        for (const auto& item : node) {
            const auto item_path = element(path, i);
            places_.set(item_path, at(item.Mark()));
            attempt([&] { read(item, value.at(i), item_path); });
            ++i;
        }
    }

    void read_table(const YAML::Node& node, const Value& value, const std::string& path)
    {
        if (!node.IsMap()) wrong_type(node, value, path);
        Seen seen;
        for (const auto& entry : node) attempt([&] { read_entry(entry, value, path, seen); });
    }

    using Seen = std::map<std::string, std::string>; ///< keys of one table with their places

    void read_entry(const YAML::detail::iterator_value& entry, const Value& value, const std::string& path, Seen& seen)
    {
        const auto place = at(entry.first.Mark());
        if (!entry.first.IsScalar())
            throw UsageError(fmt::format("{}: a key is {}, expected a word", place, kind_of(entry.first)));
        const auto& key = entry.first.Scalar();
        const auto member = std::find_if(value.members.begin(), value.members.end(),
                                         [&](const Value::Member& candidate) { return candidate.key == key; });
        if (member == value.members.end()) unknown_key(key, value, place);
        const auto [first, is_new] = seen.emplace(key, place);
        if (!is_new)
            throw UsageError(fmt::format("{}: duplicate key {}, already given at {}, expected it once", place,
                                         in_quotes(key), first->second));
        const auto member_path = join(path, key);
        if (passed_over_.count(member_path) > 0) return;
        places_.set(member_path, entry.second.IsNull() ? place : at(entry.second.Mark()));
        read(entry.second, member->value, member_path);
    }

    [[noreturn]] static void unknown_key(const std::string& key, const Value& table, const std::string& place)
    {
        std::vector<std::string> keys;
        for (const auto& member : table.members) keys.push_back(member.key);
        throw UsageError(fmt::format("{}: {}", place, unknown_name("key", key, keys)));
    }

    std::string file_;
    Places& places_;
    const std::set<std::string>& passed_over_;
    std::size_t values_ = 0; ///< read so far
    std::vector<std::string> errors_;
};

/// kubernetes.io, "Service: environment variables": {SVCNAME}_PORT is the service's URL.
bool is_service_link(std::string_view variable, std::string_view value)
{
    return variable.starts_with("HOTSPARE_") && variable.ends_with("_PORT") &&
           (value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://"));
}

/// A scalar as YAML: plain where every reader agrees on it, else double-quoted, for which JSON's form is valid YAML.
std::string yaml_scalar(const std::string& text)
{
    const auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) ||
               std::string_view("_./:=+-").find(c) != std::string_view::npos;
    };
    const bool starts_plain =
        !text.empty() && (std::isalnum(static_cast<unsigned char>(text[0])) || text[0] == '/' || text[0] == '_');
    const bool is_null = text == "null" || text == "Null" || text == "NULL";
    if (starts_plain && !is_null && text.back() != ':' && std::all_of(text.begin(), text.end(), plain)) return text;
    return json_string(text);
}

class Printer {
public:
    explicit Printer(Loader::Secrets secrets) : hides_(secrets == Loader::Secrets::hidden) {}

    void table(const Value& value, std::size_t indent, bool with_help)
    {
        for (const auto& member : value.members) {
            const std::string start = std::string(indent, ' ') + member.key + ":";
            const std::string help = with_help ? member.help : std::string();
            switch (member.value.kind) {
            case Value::Kind::scalar: line(start + " " + scalar(member.value), help); break;
            case Value::Kind::table:
                line(start, help);
                table(member.value, indent + 2, with_help);
                break;
            case Value::Kind::list: list(start, member.value, indent, help, with_help); break;
            }
        }
    }

    std::string take() { return std::move(out_); }

private:
    std::string scalar(const Value& value) const { return yaml_scalar(hides_ ? value.shown() : value.text()); }

    void list(const std::string& start, const Value& value, std::size_t indent, const std::string& help, bool with_help)
    {
        if (value.prototype().kind != Value::Kind::table || value.size() == 0) {
            std::vector<std::string> items;
            for (std::size_t i = 0; i < value.size(); ++i) items.push_back(scalar(value.at(i)));
            line(fmt::format("{} [{}]", start, fmt::join(items, ", ")), help);
            return;
        }
        line(start, help);
        for (std::size_t i = 0; i < value.size(); ++i) {
            dash_ = true;
            table(value.at(i), indent + 4, with_help && i == 0);
        }
    }

    void line(std::string text, const std::string& help)
    {
        if (std::exchange(dash_, false)) text[text.find_first_not_of(' ') - 2] = '-';
        constexpr std::size_t help_column = 36;
        out_ += help.empty() ? text : fmt::format("{:<{}}  # {}", text, help_column, help);
        out_ += '\n';
    }

    bool hides_;
    std::string out_;
    bool dash_ = false; ///< the next line starts an element of a list
};

/// What the list or scalar `value` may be, and its default.
std::string expectation(const Value& value)
{
    std::string present;
    if (value.kind == Value::Kind::list) {
        std::vector<std::string> items;
        for (std::size_t i = 0; i < value.size(); ++i) items.push_back(value.at(i).shown());
        present = fmt::format("[{}]", fmt::join(items, ", "));
    } else {
        present = value.shown();
    }
    const auto& expected = value.wanted.empty() ? value.expected : value.wanted;
    if (!value.problem().empty()) return fmt::format("{}; required", expected);
    return fmt::format("{}; default {}", expected, present.empty() ? "none" : present);
}

constexpr std::size_t reference_indent = 34;

void describe_keys(const Value& value, const std::string& path, std::string& out)
{
    for (const auto& [key, help, member] : value.members) {
        const auto here = join(path, key);
        if (member.kind == Value::Kind::table) {
            describe_keys(member, here, out);
        } else if (member.kind == Value::Kind::list && member.prototype().kind == Value::Kind::table) {
            out += in_columns(here + "[]", help, reference_indent);
            describe_keys(member.prototype(), here + "[]", out);
        } else {
            out += in_columns(here, fmt::format("{} [{}]", help, expectation(member)), reference_indent);
        }
    }
}

} // namespace

// --- Values as text --------------------------------------------------------------------------------------------------

bool is_name(const std::string& text)
{
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

bool is_target(const std::string& text)
{
    return text.starts_with('/') &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

bool is_http_origin(const std::string& text)
{
    return parse_http_origin(text).has_value();
}

std::string in_quotes(std::string_view text)
{
    return "'" + quotable(text) + "'";
}

std::string without_password(std::string_view text)
{
    const auto slashes = text.find("://");
    const auto begin = slashes == text.npos ? 0 : slashes + 3;
    const auto at = text.rfind('@');
    const auto question = text.find('?', begin);
    if (at == text.npos || at < begin)
        return question == text.npos ? std::string(text) : fmt::format("{}?***", text.substr(0, question));
    // Behind a '?' that stands before the '@' either may be part of a password.
    if (question < at) return fmt::format("{}***", text.substr(0, begin));
    const auto end = std::min(question, text.size());
    return fmt::format("{}***{}{}", text.substr(0, begin), text.substr(at, end - at), end < text.size() ? "?***" : "");
}

std::string without_secret(std::string_view text, Secret secret)
{
    if (text.empty() || secret == Secret::no) return std::string(text);
    if (secret == Secret::whole) return std::string(placeholder);
    if (secret == Secret::url) return without_password(text);
    if (secret == Secret::field) {
        const auto colon = text.find(':');
        return colon == text.npos ? std::string(placeholder)
                                  : fmt::format("{}: {}", text.substr(0, colon), placeholder);
    }
    const auto slashes = text.find("://");
    const auto begin = slashes == text.npos ? 0 : slashes + 3;
    // Whatever stands before an '@' may be part of a password, also a '/'.
    if (text.find('@', begin) != text.npos) return fmt::format("{}{}", text.substr(0, begin), placeholder);
    const auto end = std::min(text.find_first_of("/?#", begin), text.size());
    return end == text.size() ? std::string(text) : fmt::format("{}/{}", text.substr(0, end), placeholder);
}

ParseError not_valid(std::string_view text, std::string_view expected)
{
    if (text.empty()) return {fmt::format("empty, expected {}", expected)};
    return {fmt::format("{} is not valid, expected {}", in_quotes(text), expected)};
}

void throw_exception_from_error(const ParseError& error, const boost::source_location&)
{
    throw UsageError(error.message);
}

Parsed<Duration> parse_duration(std::string_view text)
{
    if (text == "0") return Duration::zero();
    const auto ns = parse_with_unit(text, duration_units, static_cast<std::uint64_t>(Duration::max().count()),
                                    "a duration such as 500ms or 2s (units ns us ms s m h)");
    if (!ns) return ns.error();
    return Duration(static_cast<Duration::rep>(*ns));
}

Parsed<std::uint64_t> parse_size(std::string_view text)
{
    return parse_with_unit(text, size_units, std::numeric_limits<std::uint64_t>::max(), a_size);
}

Parsed<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max)
{
    const std::string expected = max == std::numeric_limits<std::uint64_t>::max()
                                     ? "a whole number from 0"
                                     : fmt::format("a whole number from 0 to {}", max);
    const bool negative = text.starts_with('-') && is_decimal(text.substr(1));
    if (!negative && !is_decimal(text)) return not_valid(text, expected);
    const auto value = negative ? std::nullopt : to_unsigned(text);
    if (!value || *value > max) return out_of_range(text, expected);
    return *value;
}

Parsed<std::int64_t> parse_signed(std::string_view text, std::int64_t min, std::int64_t max)
{
    const std::string expected = fmt::format("a whole number from {} to {}", min, max);
    if (!is_decimal(text.starts_with('-') ? text.substr(1) : text)) return not_valid(text, expected);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || value < min || value > max) return out_of_range(text, expected);
    return value;
}

Parsed<double> parse_number(std::string_view text)
{
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::general);
    if (error == std::errc::result_out_of_range) return out_of_range(text, "a number");
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
        return not_valid(text, "a number");
    return value;
}

Parsed<bool> parse_bool(std::string_view text)
{
    if (text == "true") return true;
    if (text == "false") return false;
    return not_valid(text, "true or false");
}

Parsed<HostPort> parse_host_port(std::string_view text)
{
    constexpr auto expected = "HOST:PORT such as 127.0.0.1:5000 or [::1]:5000";
    const auto parts = split_authority(text);
    if (!parts || !parts->port) return not_valid(text, expected);
    const auto port = parse_unsigned(*parts->port, max_port);
    if (!port) return not_valid(text, expected);
    return HostPort{std::string(parts->host), static_cast<std::uint16_t>(*port)};
}

Parsed<HostPort> parse_http_origin(std::string_view text)
{
    constexpr auto expected = "http://HOST[:PORT] without a path";
    constexpr std::string_view scheme = "http://";
    if (!text.starts_with(scheme)) return not_valid(without_password(text), expected);
    auto authority = text.substr(scheme.size());
    if (authority.ends_with('/')) authority.remove_suffix(1);
    const auto parts = split_authority(authority);
    if (!parts) return not_valid(without_password(text), expected);
    if (!parts->port) return HostPort{std::string(parts->host), 80};
    const auto port = parse_unsigned(*parts->port, max_port);
    if (!port || *port == 0) return not_valid(without_password(text), expected);
    return HostPort{std::string(parts->host), static_cast<std::uint16_t>(*port)};
}

std::string format_duration(Duration value)
{
    const auto text = format_with_unit(static_cast<std::uint64_t>(value.count()), duration_units);
    return text == "0" ? "0s" : text;
}

std::string format_size(std::uint64_t value)
{
    return format_with_unit(value, size_units);
}

std::string format_number(double value)
{
    return fmt::format("{}", value);
}

std::string format_host_port(const HostPort& value)
{
    const bool is_ipv6 = value.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", is_ipv6 ? "[" : "", value.host, is_ipv6 ? "]" : "", value.port);
}

std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& candidates)
{
    std::optional<std::string> nearest;
    std::size_t limit = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const auto& candidate : candidates) {
        const auto distance = edit_distance(word, candidate);
        if (distance < limit && distance < candidate.size()) {
            limit = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

std::string unknown_name(std::string_view what, std::string_view name, const std::vector<std::string>& known)
{
    const auto nearest = did_you_mean(name, known);
    return fmt::format("unknown {} {}{} expected one of: {}", what, in_quotes(name),
                       nearest ? fmt::format(", did you mean '{}'?", *nearest) : ",", fmt::join(known, ", "));
}

// --- Descriptions ----------------------------------------------------------------------------------------------------

ParseError detail::unknown_word(std::string_view word, const std::vector<std::string>& words)
{
    const auto nearest = did_you_mean(word, words);
    return {fmt::format("unknown word {}{} expected {}", in_quotes(word),
                        nearest ? fmt::format(", did you mean '{}'?", *nearest) : ",", fmt::join(words, " | "))};
}

std::string detail::not_allowed(std::string_view shown, std::string_view expected)
{
    return fmt::format("{} is not allowed, expected {}", shown, expected);
}

std::string detail::placeholder_problem(std::string_view text, Secret secret)
{
    if (secret == Secret::no || without_secret(text, secret) != text) return {};
    const bool hidden = text.ends_with(placeholder) || text.find(fmt::format("{}@", placeholder)) != text.npos;
    return hidden ? fmt::format("has the placeholder {} that --print-config prints, expected the secret", placeholder)
                  : std::string();
}

std::string detail::no_such_number(std::string_view text, std::string_view expected)
{
    const bool whole = is_decimal(text.starts_with('-') ? text.substr(1) : text);
    return whole ? not_allowed(in_quotes(text), expected) : not_valid(text, expected).message;
}

void Fields::operator()(std::string key, Bytes member, std::string help, Rule<std::uint64_t> rule)
{
    Value value;
    value.expected = a_size;
    value.wanted = a_size;
    if (rule.min) value.wanted += " from " + format_size(*rule.min);
    if (rule.max) value.wanted += (rule.min ? " to " : " up to ") + format_size(*rule.max);
    value.text = [&target = member.value] { return format_size(target); };
    value.problem = [&target = member.value, rule, wanted = value.wanted]() -> std::string {
        if (rule.satisfied_by(target)) return {};
        return detail::not_allowed(in_quotes(format_size(target)), wanted);
    };
    value.assign = [&target = member.value](std::string_view text) -> std::string {
        const auto parsed = parse_size(text);
        if (!parsed) return parsed.error().message;
        target = *parsed;
        return {};
    };
    members.push_back({std::move(key), std::move(help), std::move(value)});
}

void Places::set(const std::string& path, std::string place)
{
    // What is below it stands together in the map, behind "path." and "path[": a long file sets many paths.
    if (path.empty()) places_.clear();
    for (const char below : {'.', '['}) {
        const auto first = places_.lower_bound(path + below);
        const auto end = places_.lower_bound(path + static_cast<char>(below + 1));
        places_.erase(first, end);
    }
    places_[path] = std::move(place);
}

std::string Places::of(std::string_view path) const
{
    for (;;) {
        if (const auto it = places_.find(path); it != places_.end()) return it->second;
        if (path.empty()) return {};
        const auto cut = path.find_last_of(".[");
        path = path.substr(0, cut == std::string_view::npos ? 0 : cut);
    }
}

void Places::fail(std::string_view path, std::string_view message) const
{
    throw UsageError(describe(path, message));
}

std::string Places::describe(std::string_view path, std::string_view message) const
{
    const auto place = of(path);
    // A flag or a variable names the setting by itself.
    const bool in_file = place.find(':') != std::string::npos;
    std::string out = place;
    if (!path.empty() && (in_file || place.empty())) out += (out.empty() ? "" : ": ") + std::string(path);
    return fmt::format("{}{}{}", out, out.empty() ? "" : ": ", message);
}

std::vector<std::string> Flag::variables() const
{
    std::string variable = "HOTSPARE_";
    for (const char c : name)
        variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (name == "port") return {variable, "PORT"};
    return {variable};
}

// --- Loading ---------------------------------------------------------------------------------------------------------

void Loader::add_flags(const std::string& prefix, const Value& table)
{
    for (const auto& [key, help, value] : table.members) {
        const auto path = join(prefix, key);
        if (value.kind == Value::Kind::table) add_flags(path, value);
        if (value.kind != Value::Kind::scalar) continue;
        Flag flag;
        flag.name = path;
        std::replace_if(
            flag.name.begin(), flag.name.end(), [](char c) { return c == '.' || c == '_'; }, '-');
        flag.path = path;
        flag.is_switch = value.type == Value::Type::truth;
        const auto present = value.shown();
        flag.help = fmt::format("{} [{}]", help, present.empty() ? "none" : present);
        flag.metavar = flag.is_switch ? "" : "VALUE";
        flag.assign = [value](const std::vector<std::string>& values) {
            auto problem = value.assign(values.back());
            return problem.empty() ? value.problem() : problem;
        };
        flags_.push_back(std::move(flag));
    }
}

void Loader::load(const std::string& yaml, const std::string& name)
{
    Reader reader(name, places_, overridden_);
    places_.set("", name + ":1:1");
    try {
        const auto document = YAML::Load(yaml);
        if (const auto second = second_document(yaml))
            throw UsageError(fmt::format("{}: a second document, expected one", reader.at(*second)));
        if (!document.IsNull()) reader.read_document(document, root_);
    } catch (const YAML::Exception& e) {
        throw UsageError(fmt::format("{}: not valid YAML: {}, expected one mapping of keys to values",
                                     reader.at(mark_of(e, yaml)), quotable(e.msg)));
    }
}

void Loader::load_file(const std::string& path)
{
    // Anything larger is not a configuration: a wrong path, a device.
    constexpr std::size_t largest = 1 << 20;
    std::ifstream file(path, std::ios::binary);
    std::string content(largest + 1, '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    if (!file.is_open() || file.bad() || (file.gcount() == 0 && !file.eof()))
        throw UsageError(fmt::format("{}: cannot be read ({}), expected a readable YAML file", path,
                                     std::generic_category().message(errno)));
    if (static_cast<std::size_t>(file.gcount()) > largest)
        throw UsageError(fmt::format("{}: larger than {}, expected a YAML file", path, format_size(largest)));
    content.resize(static_cast<std::size_t>(file.gcount()));
    load(content, path);
}

void Loader::load_all(const std::string& file, const Lookup& environment, const std::vector<Given>& command_line)
{
    auto given = given_by(environment);
    std::erase_if(given, [&](const Given& variable) {
        return std::any_of(command_line.begin(), command_line.end(),
                           [&](const Given& flag) { return flag.flag == variable.flag; });
    });
    given.insert(given.end(), command_line.begin(), command_line.end()); // the stronger ones last
    for (const auto& one : given) overridden_.insert(one.flag->path);
    if (!file.empty()) load_file(file);
    for (const auto& one : given) apply(*one.flag, one.values, one.place);
}

std::vector<Given> Loader::given_by(const Lookup& lookup)
{
    std::vector<Given> out;
    for (const auto& flag : flags_) {
        for (const auto& variable : flag.variables()) {
            const auto value = lookup(variable);
            if (!value || value->empty()) continue;
            if (is_service_link(variable, *value)) {
                warnings_.push_back(
                    fmt::format("{}={} is ignored: it is a service link of Kubernetes, not a setting; to leave it "
                                "out, set enableServiceLinks: false in the pod",
                                variable, in_quotes(*value)));
                continue;
            }
            std::vector<std::string> values{*value};
            if (flag.repeatable) {
                values.clear();
                for (std::size_t from = 0; from <= value->size();) {
                    const auto comma = std::min(value->find(',', from), value->size());
                    values.push_back(value->substr(from, comma - from));
                    from = comma + 1;
                }
            }
            out.push_back({&flag, std::move(values), variable});
            break;
        }
    }
    return out;
}

void Loader::apply_environment(const Lookup& lookup)
{
    for (const auto& given : given_by(lookup)) apply(*given.flag, given.values, given.place);
}

void Loader::apply(const Flag& flag, const std::vector<std::string>& values, const std::string& place)
{
    const auto problem = flag.assign(values);
    if (!problem.empty()) throw UsageError(fmt::format("{}: {}", place, problem));
    places_.set(flag.path, place);
}

void Loader::require(const std::string& path, const Value& value, std::vector<std::string>& missing) const
{
    // What was given was checked when it was read, so whatever breaks a rule here is a default: the key is missing.
    for (const auto& [key, help, member] : value.members) {
        const auto here = join(path, key);
        require(here, member, missing);
        if (!member.problem().empty() && !places_.contains(here))
            missing.push_back(places_.describe(here, "missing, expected " + member.wanted));
    }
    if (value.kind != Value::Kind::list) return;
    for (std::size_t i = 0; i < value.size(); ++i) require(element(path, i), value.at(i), missing);
}

void Loader::complete()
{
    std::vector<std::string> missing;
    require("", root_, missing);
    if (!missing.empty()) throw UsageError(std::move(missing));
    if (finish_) finish_(places_);
    if (!warn_) return;
    auto more = warn_(places_);
    std::move(more.begin(), more.end(), std::back_inserter(warnings_));
}

std::string Loader::print(Secrets secrets) const
{
    Printer printer(secrets);
    printer.table(root_, 0, true);
    return printer.take();
}

std::string Loader::reference() const
{
    std::string out;
    describe_keys(root_, "", out);
    return out;
}

} // namespace hotspare::config

#include "tests/support/message.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace hotspare::test {
namespace {

constexpr std::size_t pattern_period = 65521;

char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_token(std::string_view s) noexcept
{
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !s.empty() && std::all_of(s.begin(), s.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || others.find(c) != others.npos;
    });
}

std::string_view trim(std::string_view s) noexcept
{
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
    return s;
}

template <class Integer> bool parse(std::string_view digits, Integer& value, int base = 10) noexcept
{
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    return !digits.empty() && error == std::errc{} && end == digits.data() + digits.size();
}

std::string_view word(std::string_view line, std::size_t index) noexcept
{
    for (; index > 0; --index) {
        const auto space = line.find(' ');
        if (space == line.npos) return {};
        line.remove_prefix(space + 1);
    }
    return line.substr(0, line.find(' '));
}

const std::string& pattern_block()
{
    static const std::string block = [] {
        std::string s(pattern_period, '\0');
        std::uint32_t x = 0x9e3779b9U;
        for (char& c : s) {
            x = x * 1664525U + 1013904223U;
            c = static_cast<char>(x >> 24);
        }
        return s;
    }();
    return block;
}

} // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

void BodyHash::add(std::string_view bytes) noexcept
{
    std::uint64_t h = value_;
    for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    value_ = h;
}

std::string_view Pattern::next(std::size_t limit) noexcept
{
    const std::string& block = pattern_block();
    const std::size_t n = std::min({limit, block.size() - position_, static_cast<std::size_t>(left_)});
    const std::string_view piece(block.data() + position_, n);
    position_ = (position_ + n) % block.size();
    left_ -= n;
    return piece;
}

std::uint64_t Pattern::hash(std::uint64_t size)
{
    BodyHash h;
    Pattern pattern(size);
    while (pattern.left() > 0) h.add(pattern.next());
    return h.value();
}

std::string_view Message::method() const noexcept
{
    return word(start_line, 0);
}
std::string_view Message::target() const noexcept
{
    return word(start_line, 1);
}

int Message::status() const noexcept
{
    int status = 0;
    return start_line.starts_with("HTTP/1.") && parse(word(start_line, 1), status) ? status : 0;
}

std::optional<std::string> Message::header(std::string_view name) const
{
    for (const auto& h : headers)
        if (equal_ignoring_case(h.name, name)) return h.value;
    return std::nullopt;
}

std::size_t Message::count(std::string_view name) const noexcept
{
    return static_cast<std::size_t>(std::count_if(headers.begin(), headers.end(),
                                                  [&](const Header& h) { return equal_ignoring_case(h.name, name); }));
}

bool Message::lists(std::string_view name, std::string_view token) const noexcept
{
    for (const auto& h : headers) {
        if (!equal_ignoring_case(h.name, name)) continue;
        for (std::string_view rest = h.value;;) {
            const auto comma = rest.find(',');
            if (equal_ignoring_case(trim(rest.substr(0, comma)), token)) return true;
            if (comma == rest.npos) break;
            rest.remove_prefix(comma + 1);
        }
    }
    return false;
}

bool Message::keep_alive() const noexcept
{
    const bool http_1_0 = start_line.starts_with("HTTP/1.0") || start_line.ends_with("HTTP/1.0");
    return http_1_0 ? lists("Connection", "keep-alive") : !lists("Connection", "close");
}

std::size_t MessageReader::feed(std::string_view bytes)
{
    const std::size_t size = bytes.size();
    while (!bytes.empty() && state_ != State::complete && state_ != State::broken) {
        switch (state_) {
        case State::sized_body:
        case State::chunk_data: {
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
            take_body(bytes.substr(0, n));
            bytes.remove_prefix(n);
            left_ -= n;
            if (left_ == 0) state_ == State::sized_body ? finish() : void(state_ = State::chunk_end);
            break;
        }
        case State::body_until_close:
            take_body(bytes);
            bytes = {};
            break;
        default: {
            const auto newline = bytes.find('\n');
            const auto n = newline == bytes.npos ? bytes.size() : newline + 1;
            line_.append(bytes.substr(0, n));
            bytes.remove_prefix(n);
            if (newline != bytes.npos) take_line();
        }
        }
    }
    return size - bytes.size();
}

void MessageReader::feed_end() noexcept
{
    if (state_ == State::body_until_close) finish();
}

void MessageReader::restart()
{
    state_ = State::head;
    bodiless_ = false;
    line_.clear();
    left_ = 0;
    hash_ = {};
    message_ = {};
    reason_.clear();
}

void MessageReader::take_line()
{
    if (!line_.ends_with("\r\n")) return fail("a line ends with a bare LF");
    const std::string line = std::exchange(line_, {});
    const std::string_view text(line.data(), line.size() - 2);
    switch (state_) {
    case State::head:
        message_.head += line;
        if (message_.start_line.empty()) {
            if (text.empty()) return fail("empty start line");
            message_.start_line = text;
            if (kind_ == Kind::response ? message_.status() < 100
                                        : word(text, 3).data() != nullptr || word(text, 2).empty())
                return fail("start line: " + message_.start_line);
        } else if (text.empty()) {
            end_of_head();
        } else {
            parse_field(text, message_.headers);
        }
        break;
    case State::chunk_size:
        if (!parse(trim(text.substr(0, text.find(';'))), left_, 16)) return fail("chunk size: " + std::string(text));
        state_ = left_ > 0 ? State::chunk_data : State::trailers;
        break;
    case State::chunk_end:
        if (!text.empty()) return fail("chunk longer than its size");
        state_ = State::chunk_size;
        break;
    case State::trailers:
        if (text.empty())
            finish();
        else
            parse_field(text, message_.trailers);
        break;
    default: break;
    }
}

bool MessageReader::parse_field(std::string_view line, std::vector<Header>& into)
{
    const auto colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon)) || line.find('\r') != line.npos ||
        line.find('\0') != line.npos) {
        fail("field: " + std::string(line));
        return false;
    }
    into.push_back({std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1)))});
    return true;
}

void MessageReader::end_of_head()
{
    const int status = kind_ == Kind::response ? message_.status() : 0;
    if (status >= 100 && status < 200 && status != 101) {
        Message next;
        next.interim = std::move(message_.interim);
        next.interim.push_back(status);
        message_ = std::move(next);
        return;
    }
    if (message_.count("Content-Length") > 1) return fail("two Content-Length fields");
    const auto length = message_.header("Content-Length");
    message_.chunked = message_.lists("Transfer-Encoding", "chunked");
    if (length && message_.count("Transfer-Encoding") > 0) return fail("Content-Length beside Transfer-Encoding");
    if (length && !parse(*length, left_)) return fail("Content-Length: " + *length);

    if (bodiless_ || status == 101 || status == 204 || status == 304) return finish();
    if (message_.chunked) {
        state_ = State::chunk_size;
    } else if (length) {
        state_ = State::sized_body;
        if (left_ == 0) finish();
    } else if (kind_ == Kind::request) {
        finish();
    } else {
        state_ = State::body_until_close;
    }
}

void MessageReader::take_body(std::string_view bytes)
{
    if (message_.body.size() < keep_body_) message_.body += bytes.substr(0, keep_body_ - message_.body.size());
    message_.body_bytes += bytes.size();
    hash_.add(bytes);
    message_.body_hash = hash_.value();
}

void MessageReader::finish() noexcept
{
    state_ = State::complete;
    message_.body_hash = hash_.value();
}

void MessageReader::fail(std::string reason)
{
    state_ = State::broken;
    reason_ = std::move(reason);
}

} // namespace hotspare::test

#include "tests/support/xml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace hotspare::test {
namespace {

class Reader {
public:
    Reader(std::string_view text, XmlDocument& document) : text_(text), document_(document) {}

    void read()
    {
        check_characters();
        for (const std::string_view beginning : {"<?xml ", "<!DOCTYPE "})
            if (rest().starts_with(beginning)) {
                at_ = text_.find('>', at_) + 1;
                skip_space();
            }
        while (at_ < text_.size()) {
            if (text_[at_] != '<') {
                const std::string content = resolved(take_until("<"));
                const bool blank =
                    std::all_of(content.begin(), content.end(), [](unsigned char c) { return std::isspace(c) != 0; });
                if (open_.empty() && !blank) fail("text outside of the root");
                for (const std::size_t element : open_) document_.elements[element].text += content;
            } else if (rest().starts_with("</")) {
                at_ += 2;
                const std::string name = take_name();
                skip_space();
                expect('>');
                if (open_.empty() || document_.elements[open_.back()].name != name)
                    fail(fmt::format("</{}> closes nothing", name));
                open_.pop_back();
            } else {
                start_tag();
            }
        }
        if (!open_.empty()) fail(fmt::format("<{}> is not closed", document_.elements[open_.back()].name));
        if (document_.elements.empty()) fail("no root");
    }

private:
    [[noreturn]] void fail(const std::string& what) const
    {
        const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
        throw std::runtime_error(fmt::format("line {}: {}", line, what));
    }
    std::string_view rest() const { return text_.substr(at_); }
    void skip_space()
    {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    }
    void expect(char c)
    {
        if (at_ >= text_.size() || text_[at_] != c) fail(fmt::format("expected {}", c));
        ++at_;
    }
    std::string_view take_until(std::string_view end)
    {
        const auto stop = std::min(text_.find_first_of(end, at_), text_.size());
        const auto piece = text_.substr(at_, stop - at_);
        at_ = stop;
        return piece;
    }
    std::string take_name()
    {
        const auto begin = at_;
        while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                      std::string_view("-_:").find(text_[at_]) != std::string_view::npos))
            ++at_;
        if (at_ == begin) fail("expected a name");
        return std::string(text_.substr(begin, at_ - begin));
    }

    void start_tag()
    {
        expect('<');
        XmlElement element{.name = take_name(), .attributes = {}, .text = {}, .parent = 0};
        if (open_.empty() && !document_.elements.empty()) fail("a second root");
        element.parent = open_.empty() ? 0 : open_.back();
        for (;;) {
            const auto before = at_;
            skip_space();
            if (at_ < text_.size() && (text_[at_] == '>' || text_[at_] == '/')) break;
            if (at_ == before) fail("expected a space");
            const std::string name = take_name();
            expect('=');
            expect('"');
            const std::string_view value = take_until("\"<");
            expect('"');
            if (!element.attributes.emplace(name, resolved(value)).second) fail(name + " is given twice");
        }
        const bool closed = text_[at_] == '/';
        if (closed) ++at_;
        expect('>');
        document_.elements.push_back(std::move(element));
        if (!closed) open_.push_back(document_.elements.size() - 1);
    }

    std::string resolved(std::string_view raw) const
    {
        static const std::map<std::string_view, std::string_view> entities{{"amp", "&"},   {"lt", "<"},  {"gt", ">"},
                                                                           {"quot", "\""}, {"#39", "'"}, {"#13", "\r"}};
        std::string out;
        while (!raw.empty()) {
            if (raw.front() != '&') {
                out += raw.front();
                raw.remove_prefix(1);
                continue;
            }
            const auto end = raw.find(';');
            const auto found = entities.find(raw.substr(1, end == std::string_view::npos ? end : end - 1));
            if (end == std::string_view::npos || found == entities.end()) fail("a bare & or an unknown entity");
            out += found->second;
            raw.remove_prefix(end + 1);
        }
        return out;
    }

    void check_characters()
    {
        for (; at_ < text_.size(); ++at_) {
            const auto c = static_cast<unsigned char>(text_[at_]);
            if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || c == 0xC0 || c == 0xC1 || c > 0xF4)
                fail(fmt::format("forbidden byte {:#04x}", c));
        }
        at_ = 0;
    }

    std::string_view text_;
    XmlDocument& document_;
    std::size_t at_ = 0;
    std::vector<std::size_t> open_;
};

} // namespace

std::vector<const XmlElement*> XmlDocument::all(std::string_view name) const
{
    std::vector<const XmlElement*> found;
    for (const XmlElement& element : elements)
        if (element.name == name) found.push_back(&element);
    return found;
}

std::vector<const XmlElement*> XmlDocument::children(const XmlElement& parent) const
{
    std::vector<const XmlElement*> found;
    for (const XmlElement& element : elements)
        if (&element != &parent && &elements[element.parent] == &parent) found.push_back(&element);
    return found;
}

XmlDocument read_xml(std::string_view text)
{
    XmlDocument document;
    try {
        Reader(text, document).read();
    } catch (const std::runtime_error& error) {
        document.problem = error.what();
    }
    return document;
}

} // namespace hotspare::test

// Settings from JSON and as JSON, by the descriptions and the rules that YAML is read by.
#include "common/config.hpp"

#include "common/json_document.hpp"
#include "common/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::config {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string kind_of_json(const json& document)
{
    if (document.is_object()) return "an object";
    if (document.is_array()) return "a list";
    return document.is_string() ? in_quotes(document.get_ref<const std::string&>()) : json_text(document);
}

/// Reads a document into a Value. Places hold no places, so that every message begins with the path.
class JsonReader {
public:
    explicit JsonReader(Places& places) : places_(places) {}

    void read_document(const json& document, const Value& value)
    {
        attempt([&] { read(document, value, ""); });
        if (!errors_.empty()) throw UsageError(std::move(errors_));
    }

private:
    static constexpr std::size_t most_errors = 20;
    static constexpr std::size_t longest_key = 64; ///< of one that a message repeats

    template <class F> void attempt(F&& read_part)
    {
        if (errors_.size() >= most_errors) return;
        try {
            read_part();
        } catch (const UsageError& e) {
            errors_.push_back(e.what());
        }
    }

    void read(const json& document, const Value& value, const std::string& path)
    {
        switch (value.kind) {
        case Value::Kind::scalar: read_scalar(document, value, path); break;
        case Value::Kind::list: read_list(document, value, path); break;
        case Value::Kind::table: read_table(document, value, path); break;
        }
        check(path, value.problem());
    }

    void check(const std::string& path, const std::string& problem) const
    {
        if (!problem.empty()) places_.fail(path, problem);
    }

    void wrong_type(const json& document, std::string_view expected, const std::string& path) const
    {
        places_.fail(path, fmt::format("{}, expected {}", kind_of_json(document), expected));
    }

    void read_scalar(const json& document, const Value& value, const std::string& path) const
    {
        switch (value.type) {
        case Value::Type::text:
            if (!document.is_string()) wrong_type(document, value.expected, path);
            check(path, value.assign(document.get_ref<const std::string&>()));
            break;
        case Value::Type::number:
            if (!document.is_number()) wrong_type(document, value.expected, path);
            check(path, value.assign(json_text(document)));
            break;
        case Value::Type::truth:
            if (!document.is_boolean()) wrong_type(document, value.expected, path);
            check(path, value.assign(json_text(document)));
            break;
        }
    }

    void read_list(const json& document, const Value& value, const std::string& path)
    {
        if (!document.is_array()) wrong_type(document, value.expected, path);
        value.resize(document.size());
        for (std::size_t i = 0; i < document.size(); ++i) {
            const auto item = fmt::format("{}[{}]", path, i);
            places_.set(item, "");
            attempt([&] { read(document[i], value.at(i), item); });
        }
    }

    void read_table(const json& document, const Value& value, const std::string& path)
    {
        if (!document.is_object()) wrong_type(document, "an object", path);
        for (const auto& [key, content] : document.items()) {
            const auto here = (path.empty() ? "" : path + ".") + printable(shortened(key, longest_key));
            attempt([&, &key = key, &content = content] {
                const auto member = std::find_if(value.members.begin(), value.members.end(),
                                                 [&](const Value::Member& candidate) { return candidate.key == key; });
                if (member == value.members.end()) unknown_key(key, value, here);
                places_.set(here, "");
                read(content, member->value, here);
            });
        }
    }

    [[noreturn]] void unknown_key(const std::string& key, const Value& table, const std::string& path) const
    {
        std::vector<std::string> keys;
        for (const auto& member : table.members) keys.push_back(member.key);
        places_.fail(path, unknown_name("key", key, keys));
    }

    Places& places_;
    std::vector<std::string> errors_;
};

ordered_json item_json(const Value& value, Loader::Secrets secrets);

ordered_json scalar_json(const Value& value, Loader::Secrets secrets)
{
    if (value.type == Value::Type::text) return secrets == Loader::Secrets::hidden ? value.shown() : value.text();
    return ordered_json::parse(value.text());
}

ordered_json list_json(const Value& value, Loader::Secrets secrets)
{
    ordered_json list = ordered_json::array();
    for (std::size_t i = 0; i < value.size(); ++i) list.push_back(item_json(value.at(i), secrets));
    return list;
}

ordered_json item_json(const Value& value, Loader::Secrets secrets)
{
    if (value.kind == Value::Kind::scalar) return scalar_json(value, secrets);
    if (value.kind == Value::Kind::list) return list_json(value, secrets);
    ordered_json table = ordered_json::object();
    for (const auto& member : value.members) table[member.key] = item_json(member.value, secrets);
    return table;
}

} // namespace

void Loader::load_json(const json& document)
{
    places_ = {};
    JsonReader(places_).read_document(document, root_);
}

ordered_json json_of_changed(const Value& value, const Value& defaults, Loader::Secrets secrets)
{
    ordered_json out = ordered_json::object();
    for (std::size_t i = 0; i < value.members.size(); ++i) {
        const auto& [key, help, member] = value.members[i];
        ordered_json shown = item_json(member, secrets);
        if (item_json(member, Loader::Secrets::shown) != item_json(defaults.members[i].value, Loader::Secrets::shown))
            out[key] = std::move(shown);
    }
    return out;
}

} // namespace hotspare::config

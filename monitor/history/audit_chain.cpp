#include "monitor/history/audit_chain.hpp"

#include "common/json_document.hpp"
#include "common/sha256.hpp"
#include "common/text.hpp"

#include <fmt/format.h>

#include <utility>

namespace hotspare::monitor {
namespace {

std::string hash_after(std::string_view previous, const AuditEntry& entry)
{
    return sha256_hex(std::string(previous) + canonical(entry));
}

/// Of two different texts that are no UTF-8 the JSON may be the same.
bool is_text(const AuditEntry& entry)
{
    return is_utf8(entry.user) && is_utf8(entry.address) && is_utf8(entry.action) && is_utf8(entry.target) &&
           is_utf8(entry.detail);
}

} // namespace

std::string audit_text(std::string_view text, std::size_t most_bytes)
{
    return shortened(is_utf8(text) ? std::string(text) : printable(text), most_bytes);
}

std::string canonical(const AuditEntry& entry)
{
    return fmt::format(R"({{"number":{},"at":{},"user":{},"address":{},"action":{},"target":{},"detail":{}}})",
                       entry.number, entry.at.time_since_epoch().count(), json_string(entry.user),
                       json_string(entry.address), json_string(entry.action), json_string(entry.target),
                       json_string(entry.detail));
}

ChainedEntry chain(AuditHead& head, AuditEntry entry)
{
    entry.number = head.number + 1;
    for (std::string* word : {&entry.user, &entry.address, &entry.action, &entry.target})
        *word = audit_text(*word, longest_audit_word);
    entry.detail = audit_text(entry.detail, longest_audit_detail);
    head = {entry.number, hash_after(head.hash, entry)};
    return {std::move(entry), head.hash};
}

std::optional<Breach> AuditVerifier::next(const ChainedEntry& entry)
{
    const std::uint64_t expected = head_.number + 1;
    const std::uint64_t number = entry.entry.number;
    if (number > expected)
        return Breach{expected,
                      fmt::format("entry {} is missing: entry {} follows entry {}", expected, number, head_.number)};
    if (number < expected)
        return Breach{number, fmt::format("entry {} stands in the place of entry {}", number, expected)};
    const std::string hash = hash_after(head_.hash, entry.entry);
    if (hash != entry.hash || !is_text(entry.entry))
        return Breach{number, number == 1 ? std::string("entry 1 was changed")
                                          : fmt::format("entry {} was changed, or entry {} along with its hash", number,
                                                        number - 1)};
    head_ = {number, hash};
    return std::nullopt;
}

std::optional<Breach> AuditVerifier::end(const AuditHead& stored) const
{
    if (stored.number > head_.number)
        return Breach{head_.number + 1, fmt::format("the log ends with entry {}, and once ended with entry {}",
                                                    head_.number, stored.number)};
    if (stored.number < head_.number)
        return Breach{
            stored.number + 1,
            fmt::format("the log has entries after entry {}, which is stored as the last one", stored.number)};
    if (stored.hash != head_.hash)
        return Breach{stored.number,
                      fmt::format("entry {} has another hash than the one stored as the last", stored.number)};
    return std::nullopt;
}

} // namespace hotspare::monitor

// The audit log as a chain: each entry's hash is over the hash before it and the entry itself, so that an entry cannot
// be changed, removed or moved without a trace in every later one. The first hash of the chain is 64 zeros:
//
//   hash(n) = SHA-256(hash(n - 1) + canonical(n))
//
// What it cannot find, as it keeps no secret: a log whose entries were all hashed again from the change on, and whose
// stored head was changed along with them; and a log that was replaced, together with the head, by an earlier state of
// itself. Against both a hash that was noted elsewhere helps: every later chain must contain it.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/instant.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

/// What an action leaves in the log. Texts are UTF-8, see audit_text().
struct AuditEntry {
    std::uint64_t number = 0; ///< from 1 on, without a gap
    Instant at{};
    std::string user{};
    std::string address{};
    std::string action{}; ///< "window.create", "login.failed"
    std::string target{};
    std::string detail{};

    friend bool operator==(const AuditEntry&, const AuditEntry&) = default;
};

struct ChainedEntry {
    AuditEntry entry{};
    std::string hash{};

    friend bool operator==(const ChainedEntry&, const ChainedEntry&) = default;
};

/// The end of a chain. Stored beside the log, it shows that entries are missing there.
struct AuditHead {
    std::uint64_t number = 0; ///< of the latest entry; 0: none
    std::string hash = std::string(64, '0');

    friend bool operator==(const AuditHead&, const AuditHead&) = default;
};

/// What is kept of a text: a longer one is cut, and one that is no UTF-8 is written out byte by byte.
std::string audit_text(std::string_view text, std::size_t most_bytes);
inline constexpr std::size_t longest_audit_word = 200; ///< user, address, action and target, in bytes
inline constexpr std::size_t longest_audit_detail = 16 * 1024;

/// The entry as JSON in one way only: members in a fixed order, no spaces.
std::string canonical(const AuditEntry& entry);

/// Makes `entry` the one after `head`, which becomes it. Its number is set here, its texts as audit_text() keeps them.
ChainedEntry chain(AuditHead& head, AuditEntry entry);

/// The first entry at which a chain does not hold.
struct Breach {
    std::uint64_t number = 0;
    std::string what{}; ///< for people: "entry 7 was changed, or entry 6 with its hash"

    friend bool operator==(const Breach&, const Breach&) = default;
};

/// Follows a chain from its begin. After a breach it is of no more use.
class AuditVerifier {
public:
    /// The entries in the order of the log.
    std::optional<Breach> next(const ChainedEntry& entry);
    /// After the last one: whether it is the one that was stored as the head.
    std::optional<Breach> end(const AuditHead& stored) const;

    const AuditHead& head() const noexcept { return head_; }

private:
    AuditHead head_;
};

} // namespace hotspare::monitor

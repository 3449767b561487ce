// The effects that the external service has had, on disk: one JSON object per line, in order, which an experiment reads
// afterwards to count what was done twice, and the service itself at start, so that a restart forgets no key:
//
//     {"key":"a-1","order_id":"a-1","verdict":"Validated","at_ms":1767225600000,"stock":1000,"body":"<digest>"}
//
// `key` is null for a call without one. A line is one write(2), made before the answer: it survives the SIGKILL of the
// process, though not the loss of the machine's power. The write goes to the page cache and takes microseconds, so it
// is made on the event loop. Nothing bounds the file: it is the record of an experiment, not of a year.
//
// Thread: that of the service. Owner: the service; one process at a time.
#pragma once

#include "common/socket.hpp"
#include "orders/external_service/effects.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace hotspare::orders::external {

struct LedgerEntry {
    std::optional<std::string> key;
    std::string order_id;
    Effect effect;
};

class Ledger {
public:
    /// Opens or creates `path` and hands every line of it to `read`, the oldest first; an empty path keeps no ledger. A
    /// last line that is not complete belongs to a call that was never answered: it is removed. Throws UsageError if
    /// the file cannot be opened, is in use by another process or holds anything else.
    Ledger(const std::string& path, const std::function<void(const LedgerEntry&)>& read);

    /// False if the line could not be written, which is logged: then there must be no effect.
    [[nodiscard]] bool add(const LedgerEntry& entry);

private:
    void load(const std::string& path, const std::function<void(const LedgerEntry&)>& read);
    void restore();

    Fd file_;
    std::uint64_t size_ = 0; ///< bytes of whole lines
    bool torn_ = false;      ///< a part of a line stands behind them
};

} // namespace hotspare::orders::external

// A notification in words: what a mail says, the JSON of a webhook, and the JSON that Slack and what imitates it read.
// To whom it goes and when, monitor/decide/notification.hpp decides; sending it is common/notify's.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/notification.hpp"
#include "monitor/decide/window.hpp"

#include <string>
#include <string_view>

namespace hotspare::monitor {

/// What the words need beyond the message.
struct Naming {
    std::string site = "monitor"; ///< in brackets before each subject
    std::string url{};            ///< of the status page; may be empty
};

struct Wording {
    std::string subject{}; ///< one line of at most 200 bytes
    std::string text{};    ///< of a mail
    std::string json{};    ///< of a webhook
    std::string slack{};   ///< of a Slack webhook
};

/// `window` is the one of a maintenance notice; null if it is no longer known. `id` is the delivery's.
Wording word(const Message& message, std::string_view id, const Naming& naming, const Window* window = nullptr);

/// As people write it, in at most two units: "2 d 3 h", "1 h 30 min", "5 min 30 s", "45 s", "0.4 s".
std::string in_words(milliseconds duration);
/// "2026-11-02 22:00 UTC"
std::string in_words(Instant at);

} // namespace hotspare::monitor

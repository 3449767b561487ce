// One transfer of libcurl with a deadline, whose failure is told without the secrets that it was given. What is sent
// and what an answer means is left to its two users, smtp.cpp and webhook.cpp.
//
// Thread: the one that makes it, which run() blocks.
#pragma once

#include "common/clock.hpp"
#include "common/notify/courier.hpp"

#include <curl/curl.h>

#include <array>
#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::notify {

/// A list of strings for libcurl.
class StringList {
public:
    /// Throws std::bad_alloc.
    void add(const std::string& text);
    curl_slist* get() const noexcept { return list_.get(); }

private:
    struct Free {
        void operator()(curl_slist* list) const noexcept { ::curl_slist_free_all(list); }
    };
    std::unique_ptr<curl_slist, Free> list_;
};

class Transfer {
public:
    /// `stop` ends the transfer when it becomes true. Throws std::bad_alloc.
    Transfer(Duration deadline, const std::atomic<bool>& stop);

    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    template <class Value> void set(CURLoption option, Value value)
    {
        if (::curl_easy_setopt(curl_.get(), option, value) == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    }
    void set_text(CURLoption option, const std::string& text) { set(option, text.c_str()); }

    /// What must not appear in what is told. Empty and very short texts are passed over.
    void hide(std::string secret);

    CURLcode run();
    /// The status of HTTP, or the code of the latest SMTP reply; 0 if there is none.
    long code() const;
    curl_off_t retry_after() const; ///< in seconds; 0: none

    /// Why run() failed.
    std::string reason(CURLcode code) const;
    /// Bytes of the peer, fit to be shown on a line.
    std::string shown(std::string_view text) const;
    /// The outcome of a failure for which the peer gave no reason of its own.
    Outcome failed(CURLcode code) const;

private:
    struct Free {
        void operator()(CURL* curl) const noexcept { ::curl_easy_cleanup(curl); }
    };

    std::unique_ptr<CURL, Free> curl_;
    Duration deadline_;
    const std::atomic<bool>& stop_;
    std::array<char, CURL_ERROR_SIZE> error_{};
    std::vector<std::string> secrets_;
};

// The work of the Courier; blocking.
Outcome send_mail(const MailServer& server, const Mail& mail, const std::atomic<bool>& stop);
Outcome call_webhook(const Webhook& webhook, const std::string& body, const std::string& delivery,
                     const std::atomic<bool>& stop);

} // namespace hotspare::notify

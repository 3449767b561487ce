#include "common/notify/transfer.hpp"

#include "common/config.hpp"
#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace hotspare::notify {
namespace {

constexpr std::size_t longest_shown = 200;
constexpr std::size_t shortest_secret = 3; ///< what is shorter is a part of ordinary words

/// libcurl asks about once a second, and whenever something happens.
int stop_asked(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept
{
    return static_cast<const std::atomic<bool>*>(stop)->load() ? 1 : 0;
}

} // namespace

void StringList::add(const std::string& text)
{
    curl_slist* const longer = ::curl_slist_append(list_.get(), text.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    [[maybe_unused]] curl_slist* const same = list_.release();
    list_.reset(longer);
}

Transfer::Transfer(Duration deadline, const std::atomic<bool>& stop)
    : curl_(::curl_easy_init()), deadline_(deadline), stop_(stop)
{
    if (!curl_) throw std::bad_alloc();
    const auto limit = static_cast<long>(std::max<std::int64_t>(std::chrono::ceil<milliseconds>(deadline).count(), 1));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT_MS, limit);
    set(CURLOPT_CONNECTTIMEOUT_MS, limit);
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &stop_asked);
    set(CURLOPT_XFERINFODATA, const_cast<void*>(static_cast<const void*>(&stop_)));
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, ""); // the settings name the receiver; a variable of the environment must not change it
    set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
}

void Transfer::hide(std::string secret)
{
    if (secret.size() >= shortest_secret) secrets_.push_back(std::move(secret));
    // One that is a part of another must not tear it apart.
    std::sort(secrets_.begin(), secrets_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

CURLcode Transfer::run()
{
    return ::curl_easy_perform(curl_.get());
}

long Transfer::code() const
{
    long code = 0;
    ::curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
}

curl_off_t Transfer::retry_after() const
{
    curl_off_t wait = 0;
    ::curl_easy_getinfo(curl_.get(), CURLINFO_RETRY_AFTER, &wait);
    return wait;
}

std::string Transfer::shown(std::string_view text) const
{
    std::string result(text);
    for (const auto& secret : secrets_)
        for (auto at = result.find(secret); at != result.npos; at = result.find(secret, at))
            result.replace(at, secret.size(), "***"), at += 3;
    while (!result.empty() && (result.back() == '\n' || result.back() == '\r' || result.back() == ' '))
        result.pop_back();
    return shortened(printable(result), longest_shown);
}

std::string Transfer::reason(CURLcode code) const
{
    if (stop_) return "stopped, as the sender is ending";
    if (code == CURLE_OPERATION_TIMEDOUT) return fmt::format("no answer within {}", config::format_duration(deadline_));
    return shown(error_.front() != '\0' ? error_.data() : ::curl_easy_strerror(code));
}

Outcome Transfer::failed(CURLcode code) const
{
    const bool by_settings = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
                             code == CURLE_SSL_CACERT_BADFILE || code == CURLE_LOGIN_DENIED;
    return {.retryable = !by_settings, .why = reason(code)};
}

} // namespace hotspare::notify

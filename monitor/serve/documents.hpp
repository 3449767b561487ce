// The public documents, ready to be given out: each is rendered when it is asked for and what it shows may have
// changed, at most once a second, on a thread of its own, so that neither ten thousand readers a second nor a page of a
// thousand targets holds up a check. Meanwhile readers get the one before.
//
// Thread: the io_context's; renderers run on the thread of this. Owner: the service; its coroutines must have ended
// before this is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/storage/worker.hpp"
#include "common/wait_list.hpp"
#include "monitor/pages/view.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace hotspare::monitor {

namespace asio = boost::asio;

/// A document with its strong entity tag, in quotes.
struct Document {
    std::string text;
    std::string etag;
};

class Documents {
public:
    using Renderer = std::function<std::string(const View&)>; ///< PURE; empty text: there is no such document

    /// `view` is called on the io_context's thread.
    Documents(asio::io_context& context, std::function<View()> view);

    Documents(const Documents&) = delete;
    Documents& operator=(const Documents&) = delete;

    /// The document of this key, which `render` makes. Keys are bounded by the caller.
    asio::awaitable<std::shared_ptr<const Document>> get(std::string key, Renderer render);

    /// Something was decided: it is shown in a moment.
    void changed() noexcept { decided_ = true; }
    /// A command was carried out: requests from now on are answered with its effect.
    void renew() noexcept
    {
        good_until_ = made_at_ = {};
        least_ = made_ + 1;
    }

    /// The present view, at most a second old unless something was decided meanwhile.
    std::shared_ptr<const View> view();

private:
    struct Kept {
        std::shared_ptr<const Document> document;
        std::uint64_t of = 0; ///< the view that it shows
        bool rendering = false;
    };

    std::function<View()> make_view_;
    std::shared_ptr<const View> view_;
    TimePoint made_at_{};
    TimePoint good_until_{};
    bool decided_ = false;    ///< since view_ was made
    std::uint64_t made_ = 0;  ///< views; the number of view_
    std::uint64_t least_ = 0; ///< the first one that may still be shown
    std::map<std::string, Kept, std::less<>> kept_;
    WaitList rendered_;
    storage::Worker worker_;
};

} // namespace hotspare::monitor

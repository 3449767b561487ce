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

    /// Something was decided: whoever asks now is shown it.
    void changed() noexcept { ++version_; }

    /// The present view, at most a second old unless something was decided meanwhile.
    std::shared_ptr<const View> view();

private:
    struct Kept {
        std::shared_ptr<const Document> document;
        std::shared_ptr<const View> of; ///< what it shows
        bool rendering = false;
    };

    std::function<View()> make_view_;
    std::shared_ptr<const View> view_;
    TimePoint good_until_{};
    std::size_t version_ = 0;
    std::size_t seen_ = 0; ///< of view_
    std::map<std::string, Kept, std::less<>> kept_;
    WaitList rendered_;
    storage::Worker worker_;
};

} // namespace hotspare::monitor

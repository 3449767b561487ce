#include "monitor/serve/documents.hpp"

#include "common/sha256.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr Duration good_for = seconds(1);
/// A view of many targets takes its time, of which checks shall not lose more than this share.
constexpr int share_of_time = 20;
/// Between two decisions that follow each other closely, as when many targets fail at once.
constexpr Duration least_pause = milliseconds(50);

} // namespace

Documents::Documents(asio::io_context& context, std::function<View()> view)
    : make_view_(std::move(view)), rendered_(context)
{
}

std::shared_ptr<const View> Documents::view()
{
    const TimePoint begin = Clock::now();
    const TimePoint good = decided_ ? made_at_ + least_pause : good_until_;
    if (view_ && begin < good) return view_;
    decided_ = false;
    ++made_;
    view_ = std::make_shared<const View>(make_view_());
    const TimePoint end = Clock::now();
    made_at_ = end;
    good_until_ = end + std::max<Duration>(good_for, (end - begin) * share_of_time);
    return view_;
}

asio::awaitable<std::shared_ptr<const Document>> Documents::get(std::string key, Renderer render)
{
    Kept& kept = kept_[key]; // a node of a map stays where it is
    for (;;) {
        auto of = view();
        const std::uint64_t number = made_;
        const bool may_be_shown = kept.document && kept.of >= least_;
        if (may_be_shown && (kept.of == number || kept.rendering)) co_return kept.document;
        if (!kept.rendering) {
            kept.rendering = true;
            auto work = [of, render = std::move(render)] {
                Document document{.text = render(*of), .etag = {}};
                document.etag = '"' + sha256_hex(document.text).substr(0, 32) + '"';
                return document;
            };
            try {
                auto document = co_await worker_.run(std::move(work));
                kept.document = std::make_shared<const Document>(std::move(document));
                kept.of = number;
            } catch (...) {
                kept.rendering = false;
                rendered_.wake_all();
                throw;
            }
            kept.rendering = false;
            rendered_.wake_all();
            co_return kept.document;
        }
        co_await rendered_.wait(Clock::now() + seconds(10));
    }
}

} // namespace hotspare::monitor

#include "monitor/pages/feed_atom.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"
#include "monitor/pages/wording.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

namespace hotspare::monitor {
namespace {

struct Entry {
    std::string id;
    std::string title;
    Instant published{};
    Instant updated{};
    std::string content;
};

/// The date says when the host's name was the publisher's (RFC 4151), and must never change.
std::string tag(const View& view, std::string_view id)
{
    return "tag:" + host_of(view.base_url) + ",2026:" + std::string(id);
}

std::string_view title_of(const View& view)
{
    return view.title.empty() ? std::string_view("Status") : std::string_view(view.title);
}

Entry entry_of(const View& view, const PublicIncident& incident)
{
    Entry entry{id_of(incident), title_of(view, incident), incident.incident.since(), updated_at(view, incident), {}};
    for (const HistoryLine& line : history_of(view, incident)) {
        if (!entry.content.empty()) entry.content += "\n\n";
        append(entry.content, "{} ({}): {}", moment_text(line.at), status_text(line.status), line.text);
    }
    return entry;
}

Entry entry_of(const View& view, const PublicWindow& shown)
{
    const Window& window = shown.window;
    Entry entry{id_of(window), title_of(window), window.created_at, updated_at(shown), {}};
    append(entry.content, "{}: {}\n{}\n\n{}", state_text(window.state), span_text({window.plan.start, window.plan.end}),
           components_text(view, window), window.plan.message);
    return entry;
}

} // namespace

std::string feed_atom(const View& view)
{
    std::vector<Entry> entries;
    for (const bool open : {true, false})
        for (const PublicIncident* incident : incidents_where(view, open)) entries.push_back(entry_of(view, *incident));
    for (const bool over : {false, true})
        for (const PublicWindow* window : windows_where(view, over)) entries.push_back(entry_of(view, *window));
    std::ranges::stable_sort(entries, std::ranges::greater(), &Entry::updated);

    const std::string base = escape(view.base_url);
    const std::string title = escape(title_of(view));
    std::string out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n";
    append(out, "<id>{}</id>\n<title>{}</title>\n<updated>{}</updated>\n<author><name>{}</name></author>\n",
           tag(view, "status"), title, machine_time(updated_at(view)), title);
    append(out, "<link rel=\"self\" type=\"application/atom+xml\" href=\"{}/feed.atom\"/>\n", base);
    append(out, "<link rel=\"alternate\" type=\"text/html\" href=\"{}/status-page\"/>\n", base);
    for (const Entry& entry : entries) {
        append(out, "<entry>\n<id>{}</id>\n<title>{}</title>\n", tag(view, entry.id), escape(entry.title));
        append(out, "<published>{}</published>\n<updated>{}</updated>\n", machine_time(entry.published),
               machine_time(entry.updated));
        append(out, "<link rel=\"alternate\" type=\"text/html\" href=\"{}/status-page#{}\"/>\n", base, entry.id);
        append(out, "<content type=\"text\">{}</content>\n</entry>\n", escape(entry.content));
    }
    return out + "</feed>\n";
}

} // namespace hotspare::monitor

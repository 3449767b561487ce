#include "supervisor/settings.hpp"

#include <filesystem>

namespace hotspare::resilience {

void fields(config::Fields& field, RestartSettings& restart)
{
    field("first_pause", restart.first_pause, "before the first restart; doubled by each failure in a row",
          {milliseconds(1), seconds(3600)});
    field("longest_pause", restart.longest_pause, "the bound of that", {milliseconds(1), seconds(3600)});
    field("jitter", restart.jitter, "the share of a pause that chance may take away", {0., 1.});
    field("healthy_after", restart.healthy_after, "a run this long makes the next pause the first one again",
          {milliseconds(1), std::chrono::hours(24)});
    field("limit", restart.limit, "restarts within `window`, after which a daemon is given up; 0 = no limit");
    field("window", restart.window, "of `limit`", {milliseconds(1), std::chrono::hours(24)});
}

} // namespace hotspare::resilience

namespace hotspare::supervisor {
namespace {

bool is_given(const std::string& text)
{
    return !text.empty();
}

} // namespace

void fields(config::Fields& field, Settings& s)
{
    fields(field, s.system);
    field("restart", s.restart, "when a daemon that failed is started again");
    field("log_limit", config::Bytes{s.log_limit}, "a larger output of a daemon is set aside, once", {4096, {}});
    field("port_offset", s.port_offset, "added to every ${port:N} of the system", {{}, 60'000});
    field("directory", s.directory, "folder of this instance's data, records, logs and of the socket for requests",
          {is_given, "a folder"});
    field("programs", s.programs, "folder of the build: the programs are in the folders below it",
          {is_given, "a folder"});
    field("engines", s.engines, "folder of the scripts that start third-party servers; empty: none");
    field("config_folder", s.config, "what ${config} stands for", {is_given, "a folder"});
}

void finish(Settings& settings, const config::Places& places)
{
    finish(settings.system, places);
    if (settings.restart.longest_pause < settings.restart.first_pause)
        places.fail("restart.longest_pause", "expected at least restart.first_pause");
    for (std::string* folder : {&settings.directory, &settings.programs, &settings.engines, &settings.config})
        if (!folder->empty()) *folder = std::filesystem::absolute(*folder).lexically_normal().string();
}

} // namespace hotspare::supervisor

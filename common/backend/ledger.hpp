// What a backend has executed, on disk: one line per request, so that an experiment can count afterwards what was lost
// and what was done twice. A line is written with one system call before the request is executed; it survives the
// SIGKILL of the process, though not the loss of the machine's power.
//
// The write goes to the page cache and takes about a microsecond, so it is made on the event loop. Without a file
// (the default) nothing is done.
//
// Thread: that of the service. Owner: the Service.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace hotspare::backend {

class Ledger {
public:
    /// Appends to `path`; empty: keeps no ledger. Throws UsageError if the file cannot be opened.
    explicit Ledger(const std::string& path);

    /// "<request id> <method> <target>\n". A line that cannot be written is logged: what is counted would be wrong.
    void add(std::string_view request_id, std::string_view method, std::string_view target);

private:
    struct Close {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> file_; ///< owns the descriptor; its buffer is not used
};

} // namespace hotspare::backend

// Whether an operator has paused the worker, in a file of one line of JSON, so that a restart does not resume it.
// Written anew and renamed: a reader finds the old word or the later one, whenever the process or the machine ends.
//
// Thread: the calls block for the disk: load() before the event loop runs, store() on a storage::Worker. Owner: the
// service.
#pragma once

#include "common/error.hpp"

#include <string>

namespace hotspare::orders {

class PauseFile {
public:
    /// `path` empty: nothing is kept, and store() does nothing.
    explicit PauseFile(std::string path) : path_(std::move(path)) {}

    /// False if there is no file. Throws UsageError if it holds anything else, or cannot be read.
    bool load() const;
    /// Durable when it returns with success.
    result<void> store(bool paused) const;

    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

} // namespace hotspare::orders

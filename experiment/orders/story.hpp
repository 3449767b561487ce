// What happens in an orders experiment, on standard output as it happens: a line for each event, and between them how
// far it is, which a terminal shows in one line that changes.
//
// Thread: main's.
#pragma once

#include "experiment/record/record.hpp"

#include <string>

namespace hotspare::experiment {

class Story {
public:
    /// Lines take at most `columns`.
    explicit Story(unsigned columns);
    ~Story();

    Story(const Story&) = delete;
    Story& operator=(const Story&) = delete;

    void tell(Nanos at, const std::string& text);

    /// On a terminal one line that changes; elsewhere a line now and then.
    void progress(Nanos at, const std::string& text);

private:
    void clear();

    unsigned columns_;
    bool terminal_;
    bool drawn_ = false;
    Nanos next_ = seconds(1);
    Nanos pause_ = seconds(1);
};

} // namespace hotspare::experiment

// The signals of a process belong to one thread, its SignalWatch (common/app.cpp). Every other one begins with its
// signals blocked.
#pragma once

#include <csignal>

namespace hotspare {

/// While it lives, every signal that this thread could take waits; threads that it starts meanwhile never take one.
class SignalsWait {
public:
    SignalsWait() noexcept
    {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsWait() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsWait(const SignalsWait&) = delete;
    SignalsWait& operator=(const SignalsWait&) = delete;

private:
    sigset_t before_{};
};

} // namespace hotspare

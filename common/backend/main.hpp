// What the main() of every program that is a backend does.
#pragma once

#include "common/backend/settings.hpp"

namespace hotspare::backend {

/// Runs the service with `defaults` until it is told to stop; returns the exit code.
int main(int argc, const char* const* argv, Settings defaults);

} // namespace hotspare::backend

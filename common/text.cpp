#include "common/text.hpp"

namespace hotspare {

std::string shortened(std::string text, std::size_t most)
{
    if (text.size() <= most) return text;
    auto end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text.resize(end);
    return text + "...";
}

} // namespace hotspare

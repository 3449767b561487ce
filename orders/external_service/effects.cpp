#include "orders/external_service/effects.hpp"

#include <boost/uuid/name_generator_sha1.hpp>

#include <cstring>

namespace hotspare::orders::external {

Digest digest(std::string_view text)
{
    static const boost::uuids::name_generator_sha1 generate(boost::uuids::ns::oid());
    return generate(text.data(), text.size());
}

std::size_t EffectTable::Hash::operator()(const Digest& digest) const noexcept
{
    // A part of a digest is as good a hash as any, but for the bits that mark it as a UUID.
    std::uint64_t head = 0;
    std::memcpy(&head, digest.data, sizeof(std::uint32_t));
    std::uint64_t tail = 0;
    std::memcpy(&tail, digest.data + 12, sizeof(std::uint32_t));
    return static_cast<std::size_t>(head << 32 | tail);
}

EffectTable::Found EffectTable::find(std::string_view key, const Digest& body) const
{
    const auto found = effects_.find(digest(key));
    if (found == effects_.end()) return {};
    return {found->second.body == body ? Call::repeated : Call::conflicting, found->second};
}

void EffectTable::remember(std::string_view key, const Effect& effect)
{
    const auto id = digest(key);
    if (!effects_.insert_or_assign(id, effect).second) return;
    order_.push_back(id);
    if (effects_.size() <= capacity_) return;
    effects_.erase(order_.front());
    order_.pop_front();
}

} // namespace hotspare::orders::external

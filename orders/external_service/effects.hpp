// The effects that the external service has had, by idempotency key: what makes a repeated call a replay. A key and the
// body that came with it are kept as digests of 128 bits and not as texts, so that a key costs about 100 bytes however
// long it is. What bounds the memory is the capacity: of more keys the oldest are forgotten, and a call that repeats a
// forgotten one has an effect again.
//
// PURE. One thread; owned by the service.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/uuid/uuid.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

namespace hotspare::orders::external {

/// Two texts with one digest would have to be made on purpose, with the effort of breaking SHA-1.
using Digest = boost::uuids::uuid;
Digest digest(std::string_view text);

/// What the first call with a key did; with the call repeated it makes the same answer.
struct Effect {
    Digest body{};          ///< of the order
    std::int64_t at_ms = 0; ///< since the epoch of Unix
    std::uint32_t stock = 0;
    bool valid = false;
};

class EffectTable {
public:
    /// `capacity` is at least 1.
    explicit EffectTable(std::size_t capacity) : capacity_(capacity) {}

    enum class Call : std::uint8_t {
        first,       ///< the key is not known
        repeated,    ///< known, with the same body
        conflicting, ///< known, with another body
    };
    struct Found {
        Call call = Call::first;
        Effect effect{}; ///< that of the first call; without meaning for a first one
    };

    Found find(std::string_view key, const Digest& body) const;

    /// Makes calls with `key` repeated or conflicting from now on.
    void remember(std::string_view key, const Effect& effect);

    std::size_t size() const noexcept { return effects_.size(); }

private:
    struct Hash {
        using is_avalanching = void; ///< the map need not mix what is mixed
        std::size_t operator()(const Digest& digest) const noexcept;
    };

    std::size_t capacity_;
    boost::unordered_flat_map<Digest, Effect, Hash> effects_;
    std::deque<Digest> order_; ///< the keys of effects_, the oldest first
};

} // namespace hotspare::orders::external

// Bytes waiting between a read and a write: appended at the end, consumed from the front, contiguous.
//
// Unlike std::string it reads from the kernel without clearing memory first, and keeps its storage when emptied, so
// that a request allocates nothing once the worker's first few have grown their buffers.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace hotspare::balancer {

class Buffer {
public:
    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }
    std::size_t capacity() const noexcept { return capacity_; }

    std::span<const char> data() const noexcept { return {storage_.get() + begin_, size()}; }
    std::string_view text() const noexcept { return {storage_.get() + begin_, size()}; }

    /// Room for at least `n` more bytes; what was read into it is kept by commit(). May move the data.
    std::span<char> prepare(std::size_t n)
    {
        if (capacity_ - end_ < n) make_room(n);
        return {storage_.get() + end_, capacity_ - end_};
    }
    void commit(std::size_t n) noexcept { end_ += n; }

    void consume(std::size_t n) noexcept
    {
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    void clear() noexcept { begin_ = end_ = 0; }

    void append(std::string_view s)
    {
        if (s.empty()) return;
        const auto room = prepare(s.size());
        std::copy(s.begin(), s.end(), room.data()); // memcpy() must not be given the null of an empty view
        end_ += s.size();
    }
    void append_number(std::uint64_t n, int base = 10)
    {
        const auto room = prepare(20);
        end_ += static_cast<std::size_t>(std::to_chars(room.data(), room.data() + 20, n, base).ptr - room.data());
    }

    /// Gives storage beyond `keep` bytes back; only when empty.
    void trim(std::size_t keep) noexcept
    {
        if (!empty() || capacity_ <= keep) return;
        storage_.reset();
        capacity_ = 0;
    }

    /// Gives back what is not needed for the bytes that are there. Moves them if that frees a page.
    void shrink()
    {
        constexpr std::size_t page = 4096;
        if (empty()) return trim(0);
        if (capacity_ < size() + page) return;
        Buffer exact;
        exact.append_exactly(text());
        *this = std::move(exact);
    }

private:
    void append_exactly(std::string_view s)
    {
        storage_ = std::make_unique_for_overwrite<char[]>(s.size());
        std::memcpy(storage_.get(), s.data(), s.size());
        capacity_ = end_ = s.size();
    }

    void make_room(std::size_t n)
    {
        const std::size_t used = size();
        if (capacity_ - used >= n && begin_ >= used) {
            std::memcpy(storage_.get(), storage_.get() + begin_, used);
        } else {
            const std::size_t capacity = std::max({std::size_t{4096}, capacity_ * 2, used + n});
            auto larger = std::make_unique_for_overwrite<char[]>(capacity);
            if (used > 0) std::memcpy(larger.get(), storage_.get() + begin_, used);
            storage_ = std::move(larger);
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = used;
    }

    std::unique_ptr<char[]> storage_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

} // namespace hotspare::balancer

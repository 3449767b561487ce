#include "common/storage/resp.hpp"

#include <hiredis/hiredis.h>

#include <exception>
#include <system_error>
#include <utility>

namespace hotspare::storage::redis {
namespace {

struct FreeCommand {
    void operator()(char* command) const noexcept { redisFreeCommand(command); }
};

[[noreturn]] void throw_no_memory()
{
    throw std::system_error(std::make_error_code(std::errc::not_enough_memory), "hiredis");
}

} // namespace

result<std::string> encode(std::span<const Command> commands)
{
    std::size_t size = 0;
    for (const auto& command : commands) {
        if (command.empty()) return errc::malformed;
        // What stands around a word is at most this; adding it up before anything is formatted keeps hiredis, which
        // counts in int, far from its limits.
        constexpr std::size_t frame = 32;
        for (const auto& word : command) {
            if (word.size() > max_exchange) return errc::too_large;
            size += word.size() + frame;
            if (size > max_exchange) return errc::too_large;
        }
    }
    std::string request;
    request.reserve(size);
    std::vector<const char*> words;
    std::vector<std::size_t> sizes;
    for (const auto& command : commands) {
        words.clear();
        sizes.clear();
        for (const auto& word : command) {
            words.push_back(word.data());
            sizes.push_back(word.size());
        }
        char* formatted = nullptr;
        const int length =
            redisFormatCommandArgv(&formatted, static_cast<int>(words.size()), words.data(), sizes.data());
        if (length < 0) throw_no_memory(); // its only failure
        const std::unique_ptr<char, FreeCommand> owner(formatted);
        request.append(formatted, static_cast<std::size_t>(length));
    }
    return request;
}

/// hiredis would build a tree of its own, and would reserve as many places in it as a list claims to have elements.
/// These build a Reply at once, and pay for what has arrived only. An exception must not pass through C: nullptr says
/// that a part could not be made, whereupon hiredis gives up and frees the tree.
struct ReplyReader::Build {
    static void* add(const redisReadTask* task, Reply::Kind kind, std::string_view text = {}, std::int64_t integer = 0)
    {
        auto& bound = *static_cast<Bound*>(task->privdata);
        bound.built += sizeof(Reply) + text.size();
        if (bound.built > max_exchange) {
            bound.exceeded = true;
            return nullptr;
        }
        try {
            auto reply = std::make_unique<Reply>();
            reply->kind = kind;
            reply->text = text;
            reply->integer = integer;
            if (!task->parent) return reply.release();
            // The address stays: a list grows only after its last element is complete.
            return &static_cast<Reply*>(task->parent->obj)->list.emplace_back(std::move(*reply));
        } catch (const std::exception&) {
            bound.exceeded = true;
            return nullptr;
        }
    }

    static void* text(const redisReadTask* task, char* text, std::size_t size)
    {
        const auto kind = task->type == REDIS_REPLY_ERROR ? Reply::Kind::error : Reply::Kind::text;
        return add(task, kind, {text, size});
    }
    static void* list(const redisReadTask* task, int) { return add(task, Reply::Kind::list); }
    static void* integer(const redisReadTask* task, long long value)
    {
        return add(task, Reply::Kind::integer, {}, value);
    }
    static void* nil(const redisReadTask* task) { return add(task, Reply::Kind::nil); }
    static void free(void* root) { const std::unique_ptr<Reply> owner(static_cast<Reply*>(root)); }
};

void ReplyReader::Free::operator()(redisReader* reader) const noexcept
{
    redisReaderFree(reader);
}

ReplyReader::ReplyReader()
{
    // Not const, because hiredis asks for a pointer to what it never writes.
    static redisReplyObjectFunctions functions{.createString = Build::text,
                                               .createArray = Build::list,
                                               .createInteger = Build::integer,
                                               .createNil = Build::nil,
                                               .freeObject = Build::free};
    reader_.reset(redisReaderCreateWithFunctions(&functions));
    if (!reader_) throw_no_memory();
    reader_->privdata = bound_.get();
}

ReplyReader::~ReplyReader() = default;

void ReplyReader::begin() noexcept
{
    *bound_ = {};
}

result<void> ReplyReader::feed(std::string_view bytes)
{
    bound_->received += bytes.size();
    if (bound_->received > max_exchange) return errc::too_large;
    // A reader that has failed takes nothing more; next() says why.
    if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK && reader_->err == REDIS_ERR_OOM)
        return errc::too_large;
    return {};
}

result<std::optional<Reply>> ReplyReader::next()
{
    void* root = nullptr;
    if (redisReaderGetReply(reader_.get(), &root) != REDIS_OK)
        return bound_->exceeded ? errc::too_large : errc::malformed;
    if (!root) return std::optional<Reply>();
    const std::unique_ptr<Reply> reply(static_cast<Reply*>(root));
    return std::optional<Reply>(std::move(*reply));
}

bool ReplyReader::has_rest() const noexcept
{
    // A reply that is complete but for its end is a task of the reader, no longer bytes.
    return reader_->len > reader_->pos || reader_->ridx >= 0;
}

} // namespace hotspare::storage::redis

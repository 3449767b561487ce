#include "monitor/access/password.hpp"

#include "common/error.hpp"
#include "common/text.hpp"

#include <sodium/core.h>
#include <sodium/crypto_pwhash.h>
#include <sodium/utils.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <new>
#include <optional>

#include <termios.h>
#include <unistd.h>

namespace hotspare::monitor {
namespace {

// What libsodium calls interactive limits. Written out, as a later version may raise its own, and the hashes that are
// in use would then no longer cost what those of unknown users do.
constexpr unsigned long long passes = 2;
constexpr std::size_t memory = 64 * 1024 * 1024;
/// What crypto_pwhash_str() writes of them, before salt and key.
constexpr std::string_view prefix = "$argon2id$v=19$m=65536,t=2,p=1$";

struct Hash {
    std::array<unsigned char, crypto_pwhash_SALTBYTES> salt{};
    std::array<unsigned char, 32> key{};
};

void prepare_sodium()
{
    if (::sodium_init() < 0) throw StartupError("libsodium cannot be initialised: there is no source of randomness");
}

/// Base64 without padding; false unless it is just so many bytes.
template <std::size_t bytes> bool decode(std::string_view text, std::array<unsigned char, bytes>& out)
{
    std::size_t size = 0;
    return ::sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, nullptr,
                               sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
           size == bytes;
}

std::optional<Hash> parse(std::string_view text)
{
    if (!text.starts_with(prefix)) return std::nullopt;
    text.remove_prefix(prefix.size());
    const auto dollar = text.find('$');
    if (dollar == std::string_view::npos) return std::nullopt;
    Hash hash;
    if (!decode(text.substr(0, dollar), hash.salt) || !decode(text.substr(dollar + 1), hash.key)) return std::nullopt;
    return hash;
}

/// Switches echo and signals of the terminal on standard input off for as long as it lives. With signals on, ^C would
/// end the process and leave the terminal without echo; here it ends the line instead.
class SilentTerminal {
public:
    SilentTerminal()
    {
        if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
        silent.c_cc[VEOL] = before_.c_cc[VINTR];
        changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
    }
    ~SilentTerminal()
    {
        if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;

    /// The character that ^C is; 0 if none.
    char interrupt() const noexcept { return changed_ ? static_cast<char>(before_.c_cc[VINTR]) : '\0'; }

private:
    termios before_{};
    bool changed_ = false;
};

/// Without its end; of a line that is too long no more than shows that it is.
std::string read_line(std::istream& in, char interrupt)
{
    std::string line;
    for (char c = 0; line.size() <= longest_password && in.get(c) && c != '\n';) {
        line += c;
        if (interrupt != '\0' && c == interrupt) break;
    }
    return line;
}

std::string ask(std::istream& in, std::ostream& error)
{
    const SilentTerminal terminal;
    error << "Password: " << std::flush;
    std::string line = read_line(in, terminal.interrupt());
    error << std::endl; // the one that was typed was not echoed
    return line;
}

} // namespace

std::string refuse_password(std::string_view password)
{
    if (password.empty()) return "is empty";
    if (password.size() > longest_password)
        return "is too long, expected at most " + std::to_string(longest_password) + " bytes";
    if (!is_utf8(password)) return "is not UTF-8";
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::any_of(password.begin(), password.end(), is_control)) return "contains a control character";
    return {};
}

std::string hash_password(std::string_view password)
{
    prepare_sodium();
    std::array<char, crypto_pwhash_STRBYTES> hash{};
    if (::crypto_pwhash_str_alg(hash.data(), password.data(), password.size(), passes, memory,
                                crypto_pwhash_ALG_ARGON2ID13) != 0)
        throw std::bad_alloc();
    return hash.data();
}

bool matches(std::string_view hash, std::string_view password)
{
    const auto expected = parse(hash);
    if (!expected) return false;
    prepare_sodium();
    // crypto_pwhash_str_verify() does the same, but calls it a mismatch if there is no memory.
    auto key = expected->key;
    if (::crypto_pwhash(key.data(), key.size(), password.data(), password.size(), expected->salt.data(), passes, memory,
                        crypto_pwhash_ALG_ARGON2ID13) != 0)
        throw std::bad_alloc();
    return ::sodium_memcmp(key.data(), expected->key.data(), key.size()) == 0;
}

bool is_password_hash(std::string_view text)
{
    return parse(text).has_value();
}

int hash_password_command(std::istream& in, std::ostream& out, std::ostream& error)
{
    const bool asks = &in == &std::cin && ::isatty(STDIN_FILENO) == 1;
    const std::string password = asks ? ask(in, error) : read_line(in, '\0');
    if (const auto refusal = refuse_password(password); !refusal.empty()) {
        error << "the password " << refusal << std::endl;
        return 2;
    }
    out << hash_password(password) << std::endl;
    return 0;
}

} // namespace hotspare::monitor

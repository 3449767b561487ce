// Runs a fuzz target without libFuzzer, so that every build, with any compiler, replays what the fuzzer knows:
//
//   TARGET_fuzz FILE|DIRECTORY... [--mutations N]
//
// Each file, and each file of a directory in the order of the names, is one input. Then N inputs more, made from those
// by mutations that are the same in every run. An input that breaks a property is written to TARGET_fuzz.broken, which
// is then the FILE that reproduces it; exit code as the signal says, 2 for bad usage.

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// What the signal handler needs, and nothing else does.
std::string input;
std::string broken_name;

void keep_input(int signal)
{
    const int fd = ::open(broken_name.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    const bool kept = fd >= 0 && ::write(fd, input.data(), input.size()) == static_cast<ssize_t>(input.size());
    constexpr std::string_view said = "the input is in the file ";
    if (kept && ::write(STDERR_FILENO, said.data(), said.size()) >= 0 &&
        ::write(STDERR_FILENO, broken_name.data(), broken_name.size()) >= 0)
        (void)!::write(STDERR_FILENO, "\n", 1);
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void run(std::string bytes)
{
    input = std::move(bytes);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string content_of(const std::filesystem::path& file)
{
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> corpus_of(const std::vector<std::filesystem::path>& places)
{
    std::vector<std::filesystem::path> files;
    for (const auto& place : places) {
        if (!std::filesystem::is_directory(place)) {
            files.push_back(place);
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(place)) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<std::string> corpus;
    for (const auto& file : files) corpus.push_back(content_of(file));
    return corpus;
}

/// Mutations of a corpus, the same ones in every run.
class Mutator {
public:
    explicit Mutator(const std::vector<std::string>& corpus) : corpus_(corpus) {}

    std::string next()
    {
        std::string bytes = any(corpus_);
        for (auto n = 1 + random_() % 4; n > 0; --n) mutate(bytes);
        if (bytes.size() > longest) bytes.resize(longest);
        return bytes;
    }

private:
    static constexpr std::size_t longest = 4096;

    void mutate(std::string& bytes)
    {
        const std::size_t at = random_() % (bytes.size() + 1);
        const std::size_t length = std::min<std::size_t>(1 + random_() % 16, bytes.size() - at);
        const std::string& other = any(corpus_);
        switch (random_() % 6) {
        case 0: bytes.insert(at, 1, interesting()); break;
        case 1:
            if (at < bytes.size()) bytes[at] = interesting();
            break;
        case 2: bytes.erase(at, length); break;
        case 3: bytes.insert(random_() % (bytes.size() + 1), bytes.substr(at, length)); break;
        case 4: bytes.replace(at, std::string::npos, other.substr(random_() % (other.size() + 1))); break;
        case 5: bytes.insert(at, other.substr(random_() % (other.size() + 1), 1 + random_() % 32)); break;
        }
    }

    char interesting()
    {
        constexpr std::string_view known("\r\n\t \0:;,=/[]{}&*-0aF\x7f\xff", 23);
        const auto n = random_();
        return n % 2 == 0 ? known[n / 2 % known.size()] : static_cast<char>(n / 2 % 256);
    }

    template <class T> const T& any(const std::vector<T>& items) { return items[random_() % items.size()]; }

    const std::vector<std::string>& corpus_;
    std::mt19937_64 random_{1};
};

} // namespace

int main(int argc, char** argv)
{
    broken_name = std::filesystem::path(argv[0]).filename().string() + ".broken";
    std::vector<std::filesystem::path> places;
    std::size_t mutations = 0;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument != "--mutations") {
            places.emplace_back(argument);
            continue;
        }
        const std::string_view number = ++i < argc ? argv[i] : "";
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), mutations);
        if (error != std::errc{} || end != number.data() + number.size()) places.clear();
    }
    const bool readable = std::all_of(places.begin(), places.end(), [](const auto& p) { return exists(p); });
    const auto corpus = readable ? corpus_of(places) : std::vector<std::string>{};
    if (corpus.empty()) {
        std::fprintf(stderr, "usage: %s FILE|DIRECTORY... [--mutations N], with at least one input\n", argv[0]);
        return 2;
    }
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) std::signal(signal, keep_input);
    for (const auto& bytes : corpus) run(bytes);
    Mutator mutator(corpus);
    for (std::size_t i = 0; i < mutations; ++i) run(mutator.next());
    std::printf("%zu inputs of the corpus and %zu mutations hold every property\n", corpus.size(), mutations);
    return 0;
}

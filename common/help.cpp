#include "common/help.hpp"

#include "common/columns.hpp"

#include <CLI/CLI.hpp>

#include <string>

namespace hotspare {
namespace {

class NarrowHelp final : public CLI::Formatter {
public:
    std::string make_option(const CLI::Option* option, bool is_positional) const override
    {
        return in_columns("  " + make_option_name(option, is_positional) + make_option_opts(option),
                          make_option_desc(option), get_column_width());
    }

    std::string make_subcommand(const CLI::App* command) const override
    {
        return in_columns("  " + command->get_display_name(true), command->get_description(), get_column_width());
    }

    /// The type alone: whatever else CLI11 adds (its checks, what excludes what) an error says when it matters.
    std::string make_option_opts(const CLI::Option* option) const override
    {
        const auto type = option->get_type_name();
        return option->get_type_size() == 0 || type.empty() ? "" : " " + type.substr(0, type.find(':'));
    }
};

} // namespace

std::shared_ptr<CLI::FormatterBase> narrow_help()
{
    return std::make_shared<NarrowHelp>();
}

} // namespace hotspare

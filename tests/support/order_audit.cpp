#include "tests/support/order_audit.hpp"

#include <fmt/format.h>

#include <set>
#include <string_view>

namespace hotspare::test {
namespace {

constexpr std::size_t most_findings = 50;

class Auditor {
public:
    void audit(const std::vector<PlacedOrder>& placed, const std::vector<SeenOrder>& seen, const Effects* effects)
    {
        std::map<std::string_view, const SeenOrder*> by_id;
        for (const auto& order : seen) {
            ++result_.by_status[order.status];
            if (!by_id.emplace(order.id, &order).second) note(result_.doubled, order.id, "is there twice");
            follow(order);
        }
        std::set<std::string_view> asked;
        for (const auto& order : placed) {
            asked.insert(order.id);
            if (order.acknowledged) ++result_.acknowledged;
            const auto found = by_id.find(order.id);
            if (found == by_id.end()) {
                if (order.acknowledged) note(result_.lost, order.id, "was acknowledged and is not there");
            } else if (found->second->product != order.product || found->second->quantity != order.quantity) {
                note(order.acknowledged ? result_.lost : result_.wrong, order.id, "is not what was asked for");
            }
        }
        for (const auto& order : seen)
            if (!asked.contains(order.id)) note(result_.wrong, order.id, "was never asked for");
        if (effects) compare(seen, *effects);
    }

    OrderAudit take() { return std::move(result_); }

private:
    void note(std::size_t& count, const std::string& id, std::string_view what)
    {
        ++count;
        if (result_.findings.size() < most_findings) result_.findings.push_back(fmt::format("{} {}", id, what));
    }

    /// The timeline is a legal way, and leads to the status.
    void follow(const SeenOrder& order)
    {
        static const std::map<std::string_view, std::string_view> ends{
            {"validated", "Validated"}, {"rejected", "Rejected"}, {"failed", "Failed"}};
        const auto wrong = [&](std::string_view what) { note(result_.wrong, order.id, what); };
        std::string_view status; // empty: it does not exist yet
        std::int64_t epoch = 0;
        bool leased = false;
        for (const auto& event : order.timeline) {
            if (event.epoch < epoch) wrong("has an epoch that goes back");
            const auto end = ends.find(event.word);
            if (event.word == "created") {
                if (!status.empty()) note(result_.doubled, order.id, "was created twice");
                status = "Processing";
            } else if (end != ends.end()) {
                if (status != "Processing") note(result_.doubled, order.id, "ended twice");
                if (end->first != "failed" && !leased) wrong("has a verdict without a lease");
                status = end->second;
                leased = false;
            } else if (event.word == "replayed") {
                if (status != "Failed") wrong("was replayed and had not failed");
                status = "Processing";
            } else if (event.word == "leased") {
                if (status != "Processing") wrong("was leased and had ended");
                if (event.epoch <= epoch) wrong("was leased twice in one epoch");
                leased = true;
            } else if (event.word == "attempt" || event.word == "retry" || event.word == "snoozed") {
                if (!leased) wrong("was worked on without a lease");
                if (event.word != "attempt") leased = false;
            } else if (event.word != "hastened") {
                wrong("has an event that is not known");
            }
            epoch = event.epoch;
        }
        if (status != order.status) wrong("has a timeline that does not lead to its status");
        if (order.status == "Processing") note(result_.stuck, order.id, "is Processing and stays so");
    }

    void compare(const std::vector<SeenOrder>& seen, const Effects& effects)
    {
        for (const auto& [id, verdicts] : effects)
            if (verdicts.size() > 1) note(result_.doubled, id, "was acted upon twice by the validator");
        for (const auto& order : seen) {
            if (order.status != "Validated" && order.status != "Rejected") continue;
            const auto found = effects.find(order.id);
            if (found == effects.end() || found->second.front() != order.status)
                note(result_.wrong, order.id, "has a verdict that is not the validator's");
        }
    }

    OrderAudit result_;
};

} // namespace

std::string OrderAudit::summary() const
{
    return fmt::format("lost {}, doubled {}, stuck {} of {}", lost, doubled, stuck, acknowledged);
}

std::string OrderAudit::text() const
{
    auto text = summary();
    for (const auto& [status, count] : by_status) text += fmt::format(", {} {}", count, status);
    if (wrong > 0) text += fmt::format("; {} wrong in another way", wrong);
    for (const auto& finding : findings) text += "\n  " + finding;
    return text;
}

OrderAudit audit_orders(const std::vector<PlacedOrder>& placed, const std::vector<SeenOrder>& seen,
                        const Effects* effects)
{
    Auditor auditor;
    auditor.audit(placed, seen, effects);
    return auditor.take();
}

} // namespace hotspare::test

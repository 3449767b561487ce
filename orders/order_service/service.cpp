#include "orders/order_service/service.hpp"

#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/time.hpp"
#include "common/version.hpp"
#include "orders/wire.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace hotspare::orders {
namespace {

using http::Request;
using http::Response;
using http::verb;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t longest_page = 1'000;
constexpr Duration longest_wait = seconds(30);
constexpr Duration trouble_memory = seconds(10);
/// A store that cannot be used is known after this time although it is asked for nothing else.
constexpr Duration look_pause = seconds(1);
/// Of a paused worker, which says so every second: of ten messages one arrives, also where a balancer shares them out
/// among several order services. It must do so at random (config/gateway-jobs.yaml).
constexpr Duration paused_memory = seconds(10);
constexpr std::size_t most_paused = 256;

OrderedJson to_json(const Order& order)
{
    return {{"order_id", order.what.order_id},
            {"product", order.what.product},
            {"quantity", order.what.quantity},
            {"status", to_string(order.status)},
            {"reason", order.reason},
            {"attempts", order.attempts},
            {"epoch", order.epoch},
            {"created_at", format_rfc3339(order.created)},
            {"updated_at", format_rfc3339(order.updated)}};
}

OrderedJson to_json(const OrderFile& file)
{
    auto out = to_json(file.order);
    out["waits_until"] = file.due && file.worker.empty() ? OrderedJson(format_rfc3339(*file.due)) : OrderedJson();
    out["leased_until"] = file.due && !file.worker.empty() ? OrderedJson(format_rfc3339(*file.due)) : OrderedJson();
    out["worker"] = file.worker.empty() ? OrderedJson() : OrderedJson(file.worker);
    auto& timeline = out["timeline"] = OrderedJson::array();
    for (const auto& event : file.timeline)
        timeline.push_back({{"at", format_rfc3339(event.at)},
                            {"event", to_string(event.kind)},
                            {"epoch", event.epoch},
                            {"detail", event.detail}});
    return out;
}

/// What a creation is answered with, the first time and each time that it is repeated: only what never changes.
Response placed(const Order& order)
{
    return http::json_response(200, OrderedJson{{"message", "Order placed successfully!"},
                                                {"order_id", order.what.order_id},
                                                {"status", to_string(Status::processing)},
                                                {"product", order.what.product},
                                                {"quantity", order.what.quantity},
                                                {"created_at", format_rfc3339(order.created)}});
}

Duration oldest_age(const Totals& totals)
{
    if (!totals.oldest) return Duration::zero();
    return std::max<Duration>(std::chrono::system_clock::now() - *totals.oldest, Duration::zero());
}

Response unavailable(const Request& request, std::string detail)
{
    auto response = http::problem(request, 503, std::move(detail));
    response.set(http::field::retry_after, "1");
    return response;
}

boost::system::result<ListQuery, http::Problem> parse_list_query(const Request& request)
{
    const auto wrong = [](std::string_view field, std::string_view expected) {
        return http::Problem{422,
                             fmt::format("the field '{}' is not valid, expected {}", field, expected),
                             {{"field", std::string(field)}}};
    };
    ListQuery query;
    for (const auto& [name, value] : request.query_parameters) {
        if (std::ranges::count(request.query_parameters, name, [](const auto& one) { return one.first; }) > 1)
            return http::Problem{
                422, fmt::format("the parameter '{}' is given more than once, expected one", name), {{"field", name}}};
        if (name == "status") {
            query.status = status_named(value);
            if (!query.status) return wrong(name, "Processing | Validated | Rejected | Failed");
        } else if (name == "limit") {
            const auto most = config::parse_unsigned(value, longest_page);
            if (!most || *most == 0) return wrong(name, fmt::format("a whole number from 1 to {}", longest_page));
            query.most = *most;
        } else if (name == "before") {
            const auto before = config::parse_unsigned(value, std::numeric_limits<std::int64_t>::max());
            if (!before) return wrong(name, "the 'next' of an earlier answer");
            query.before = static_cast<std::int64_t>(*before);
        } else {
            return wrong(name, "one of status, limit, before");
        }
    }
    return query;
}

/// The body of a call of the work protocol.
template <class T>
boost::system::result<T, http::Problem> parse_call(const Request& request,
                                                   boost::system::result<T, http::Problem> (*parse)(const wire::Json&))
{
    const auto body = http::parse_json(request.body());
    if (!body) return body.error();
    return parse(*body);
}

std::string_view refusal(Operation operation)
{
    switch (operation) {
    case Operation::retry_now: return "only an order that waits to be tried again can be tried now";
    case Operation::cancel: return "only an order that is Processing can be cancelled";
    case Operation::replay: return "only an order that is Failed can be replayed";
    }
    return {};
}

} // namespace

OrderService::OrderService(asio::io_context& context, OrderServiceSettings settings, Store& store, Queue& queue)
    : context_(context), settings_(std::move(settings)), store_(store), queue_(queue), control_(settings_.control),
      router_(make_routes(Listener::clients)), control_router_(make_routes(Listener::control)),
      server_(context, [this](Request& request) { return router_.dispatch(request); },
              {.on_exchange = [this](const http::Exchange& exchange) { counts_.add(exchange); }}),
      control_server_(context, [this](Request& request) { return control_router_.dispatch(request); },
                      {.on_exchange = [this](const http::Exchange& exchange) { counts_.add(exchange); }}),
      look_again_(context), tasks_(context)
{
    try {
        http::listen(server_, settings_.host, settings_.port, "--port");
        http::listen(control_server_, settings_.control.host, settings_.control.port, "--control-port");
    } catch (...) {
        // One of the two may accept already; nothing will ever run that could end it in order.
        context_.stop();
        throw;
    }
    control_.listens_on(control_port());
    tasks_.spawn("watch the store", watch_store());
}

/// A store that cannot be reached is known, and in the log, before a client asks, and so is one that can be reached
/// again.
asio::awaitable<void> OrderService::watch_store()
{
    while (!stopping_) {
        (void)co_await store_.totals();
        if (stopping_) co_return;
        look_again_.expires_after(look_pause);
        co_await look_again_.async_wait(no_throw);
    }
}

http::Router OrderService::make_routes(Listener listener)
{
    http::Router routes;
    using Member = asio::awaitable<Response> (OrderService::*)(const Request&);
    const auto handler = [this](auto member) {
        return [this, member](const Request& request) { return (this->*member)(request); };
    };
    const auto on = [&](verb method, std::string path, auto member) {
        routes.add(method, std::move(path), handler(member));
    };
    const auto operator_on = [&](verb method, std::string path, Member member) {
        routes.add(method, std::move(path), control_.guard(Party::operators, listener, handler(member)));
    };
    const auto worker_on = [&](verb method, std::string path, Member member) {
        routes.add(method, std::move(path), control_.guard(Party::workers, listener, handler(member)));
    };
    on(verb::post, "/create_order", &OrderService::create);
    on(verb::get, "/get_orders", &OrderService::list);
    on(verb::get, "/orders/{id}", &OrderService::find);
    operator_on(verb::delete_, "/clear_orders", &OrderService::clear);
    const auto operation = [&](std::string path, Operation what) {
        auto act = [this, what](const Request& request) { return operate(request, what); };
        routes.add(verb::post, std::move(path), control_.guard(Party::operators, listener, std::move(act)));
    };
    operation("/orders/{id}/retry", Operation::retry_now);
    operation("/orders/{id}/cancel", Operation::cancel);
    operation("/orders/{id}/replay", Operation::replay);
    operator_on(verb::post, "/replay_orders", &OrderService::replay_orders);
    operator_on(verb::post, "/cancel_orders", &OrderService::cancel_orders);
    on(verb::get, "/queue", &OrderService::show_queue);
    worker_on(verb::post, "/jobs/lease", &OrderService::lease);
    worker_on(verb::post, "/jobs/extend", &OrderService::extend);
    worker_on(verb::post, "/jobs/settle", &OrderService::settle);
    worker_on(verb::post, "/jobs/presence", &OrderService::presence);
    on(verb::get, "/health", &OrderService::health);
    on(verb::get, "/metrics", &OrderService::expose_metrics);
    return routes;
}

void OrderService::stop()
{
    if (std::exchange(stopping_, true)) return;
    queue_.stop();
    look_again_.cancel();
    tasks_.spawn("drain", drain());
}

asio::awaitable<void> OrderService::drain()
{
    co_await server_.drain(settings_.drain);
    co_await control_server_.drain(settings_.drain);
    co_await queue_.close();
}

// --- Clients ---------------------------------------------------------------------------------------------------------

asio::awaitable<Response> OrderService::create(const Request& request)
{
    const auto body = http::parse_json(request.body());
    if (!body) co_return http::problem(body.error(), request.id);
    auto what = parse_new_order(*body);
    if (!what) co_return http::problem(what.error(), request.id);
    std::optional<std::string> key;
    const auto keys = request.count("Idempotency-Key");
    if (keys > 1)
        co_return http::problem(request, 422, "the header 'Idempotency-Key' is given more than once, expected one key",
                                {{"field", "Idempotency-Key"}});
    if (keys == 1) {
        auto parsed = parse_idempotency_key(request.header("Idempotency-Key"));
        if (!parsed) co_return http::problem(parsed.error(), request.id);
        key = *std::move(parsed);
    }

    auto creating = std::make_shared<Creating>(asio::steady_timer(context_, settings_.answer_within));
    tasks_.spawn("create", keep(*std::move(what), std::move(key), creating));
    if (!creating->outcome) co_await creating->done.async_wait(no_throw);
    if (!creating->outcome) {
        // It may still be written: only a repetition, which changes nothing, can tell.
        late_.add();
        trouble_ = {.text = "a write took too long", .of_creation = true};
        co_return unavailable(request,
                              "the order is not stored yet, and may or may not be later; send the same request "
                              "again to find out: it will not be placed twice");
    }
    auto& outcome = *creating->outcome;
    if (!outcome) co_return store_failure(request, outcome.error());
    store_works(outcome->kind == Creation::Kind::created);
    created_[static_cast<std::size_t>(outcome->kind)].add();
    const auto& order = outcome->order;
    switch (outcome->kind) {
    case Creation::Kind::created: queue_.announce(order.number); [[fallthrough]];
    case Creation::Kind::repeated: break;
    case Creation::Kind::other_order:
        co_return http::problem(request, 409,
                                fmt::format("the order '{}' exists with another product or quantity; a new order needs "
                                            "another order_id",
                                            order.what.order_id),
                                {{"field", "order_id"}});
    case Creation::Kind::other_body:
        co_return http::problem(
            request, 422,
            fmt::format("this Idempotency-Key was used for another request, which created the order "
                        "'{}'; a new request needs a new key",
                        order.what.order_id),
            {{"field", "Idempotency-Key"}});
    }
    co_return placed(order);
}

asio::awaitable<void> OrderService::keep(NewOrder what, std::optional<std::string> key,
                                         std::shared_ptr<Creating> creating)
{
    creating->outcome = co_await store_.create(std::move(what), std::move(key));
    creating->done.cancel();
}

asio::awaitable<Response> OrderService::list(const Request& request)
{
    const auto query = parse_list_query(request);
    if (!query) co_return http::problem(query.error(), request.id);
    const auto listing = co_await store_.list(*query);
    if (!listing) co_return store_failure(request, listing.error());
    const auto& totals = listing->totals;
    OrderedJson out{{"orders", OrderedJson::array()}};
    for (const auto& order : listing->orders) out["orders"].push_back(to_json(order));
    out["count"] = listing->orders.size();
    out["totals"] = {{"Processing", totals.processing},
                     {"Validated", totals.validated},
                     {"Rejected", totals.rejected},
                     {"Failed", totals.failed}};
    out["workers_paused"] = paused_workers();
    out["next"] = listing->more ? OrderedJson(std::to_string(listing->orders.back().number)) : OrderedJson();
    co_return http::json_response(200, out);
}

asio::awaitable<Response> OrderService::find(const Request& request)
{
    if (!may_be_order_id(request.parameter("id"))) co_return store_failure(request, errc::not_found);
    const auto file = co_await store_.find(request.parameter("id"));
    if (!file) co_return store_failure(request, file.error());
    co_return http::json_response(200, to_json(*file));
}

asio::awaitable<Response> OrderService::clear(const Request& request)
{
    const auto cleared = co_await store_.clear();
    if (!cleared) co_return store_failure(request, cleared.error());
    log::warn("all orders cleared, {} of them", *cleared);
    co_return http::json_response(200, OrderedJson{{"message", "All orders cleared"}, {"cleared", *cleared}});
}

// --- Operators -------------------------------------------------------------------------------------------------------

asio::awaitable<Response> OrderService::operate(const Request& request, Operation operation)
{
    if (!may_be_order_id(request.parameter("id"))) co_return store_failure(request, errc::not_found);
    const auto order = co_await store_.operate(request.parameter("id"), operation);
    if (!order && order.error() == errc::conflict)
        co_return http::problem(request, 409, std::string(refusal(operation)));
    if (!order) co_return store_failure(request, order.error());
    store_works(true);
    if (operation != Operation::cancel) queue_.announce(order->number);
    log::info("an operator changed the order '{}', which is now {}", order->what.order_id, to_string(order->status));
    co_return http::json_response(200, to_json(*order));
}

asio::awaitable<Response> OrderService::replay_orders(const Request& request)
{
    return operate_all(request, Operation::replay);
}

asio::awaitable<Response> OrderService::cancel_orders(const Request& request)
{
    return operate_all(request, Operation::cancel);
}

asio::awaitable<Response> OrderService::operate_all(const Request& request, Operation operation)
{
    const auto body = http::parse_json(request.body());
    if (!body) co_return http::problem(body.error(), request.id);
    auto bulk = parse_bulk_request(*body, operation, std::chrono::system_clock::now());
    if (!bulk) co_return http::problem(bulk.error(), request.id);
    const auto outcome = co_await store_.operate_all(*std::move(bulk));
    if (!outcome) co_return store_failure(request, outcome.error());
    const auto& changed = outcome->changed;
    if (!changed.empty()) store_works(true);
    if (operation == Operation::replay) {
        // Each waiting worker takes as many as it can; what is left is found without being announced.
        const auto announced = std::min(changed.size(), queue_.waiting());
        for (std::size_t i = 0; i < announced; ++i) queue_.announce(changed[i]);
    }
    const auto word = operation == Operation::replay ? "replayed" : "cancelled";
    log::warn("an operator {} {} orders, {} of the selection are left", word, changed.size(), outcome->left);
    co_return http::json_response(200, OrderedJson{{"message", fmt::format("{} orders {}", changed.size(), word)},
                                                   {"changed", changed.size()},
                                                   {"left", outcome->left}});
}

asio::awaitable<Response> OrderService::show_queue(const Request& request)
{
    const auto totals = co_await store_.totals();
    if (!totals) co_return store_failure(request, totals.error());
    const auto age = oldest_age(*totals);
    co_return http::json_response(200, OrderedJson{{"depth", totals->processing},
                                                   {"in_flight", totals->leased},
                                                   {"oldest_age_s", to_s(age)},
                                                   {"dead_letters", totals->failed},
                                                   {"workers_waiting", queue_.waiting()},
                                                   {"workers_paused", paused_workers()},
                                                   {"answered_by", settings_.name},
                                                   {"dispatch", queue_.state()}});
}

Response OrderService::health(const Request&)
{
    // 200 also while nothing can be written: reading goes on, and a gateway must not take that away.
    const auto complaint = this->complaint();
    OrderedJson out{{"service", settings_.name},
                    {"status", !complaint                     ? "healthy"
                               : complaint->creations_refused ? "down"
                                                              : "degraded"},
                    {"timestamp", format_rfc3339(std::chrono::system_clock::now())},
                    {"version", version()},
                    {"uptime_s", to_s(Clock::now() - started_)}};
    if (complaint) out["error"] = complaint->text;
    return http::json_response(200, out);
}

asio::awaitable<Response> OrderService::expose_metrics(const Request&)
{
    metrics::Exposition out;
    counts_.expose(out, "hotspare_orders");
    constexpr std::array<std::string_view, 4> creations{"created", "repeated", "other_order", "other_body"};
    for (std::size_t i = 0; i < creations.size(); ++i)
        out.counter("hotspare_orders_created_total", "Creations by outcome", {{"outcome", creations[i]}}, created_[i]);
    out.counter("hotspare_orders_created_late_total", "Creations that were answered 503 before they were stored", {},
                late_);
    out.counter("hotspare_orders_leased_total", "Jobs given to workers", {}, leased_);
    for (std::size_t i = 0; i < settled_.size(); ++i)
        out.counter("hotspare_orders_settled_total", "Results reported by workers, by outcome",
                    {{"outcome", to_string(static_cast<Settled>(i))}}, settled_[i]);
    const auto totals = co_await store_.totals();
    if (totals) {
        const auto gauge = [&](Status status, std::uint64_t value) {
            out.gauge("hotspare_orders", "Orders by status", {{"status", to_string(status)}},
                      static_cast<double>(value));
        };
        gauge(Status::processing, totals->processing);
        gauge(Status::validated, totals->validated);
        gauge(Status::rejected, totals->rejected);
        gauge(Status::failed, totals->failed);
        out.gauge("hotspare_orders_oldest_age_seconds", "Age of the oldest order that is Processing; 0 = there is none",
                  {}, to_s(oldest_age(*totals)));
        out.gauge("hotspare_orders_in_flight", "Jobs that a worker holds", {}, static_cast<double>(totals->leased));
    }
    out.gauge("hotspare_orders_workers_paused", "Workers that an operator has paused", {},
              static_cast<double>(paused_workers().size()));
    queue_.expose(out);
    out.process(version());
    co_return http::text_response(200, out.text(), metrics::Exposition::content_type);
}

// --- Workers ---------------------------------------------------------------------------------------------------------

asio::awaitable<Response> OrderService::lease(const Request& request)
{
    const auto call = parse_call(request, wire::parse_lease_call);
    if (!call) co_return http::problem(call.error(), request.id);
    paused_.erase(call->worker);
    const auto until = Clock::now() + std::min(call->wait, longest_wait);
    // Named first: GCC 12 copies an aggregate bit by bit if it is made inside the co_await expression.
    LeaseRequest wanted{.worker = call->worker, .most = call->most, .lasts = settings_.lease};
    auto gone = request.peer_closed;
    auto jobs = co_await queue_.take(std::move(wanted), until, std::move(gone));
    if (!jobs) co_return store_failure(request, jobs.error());
    if (!jobs->empty() || !request.peer_closed()) store_works(!jobs->empty()); // for one that has gone it was not asked
    leased_.add(jobs->size());
    co_return http::json_response(200, wire::to_json({*std::move(jobs), settings_.lease}));
}

asio::awaitable<Response> OrderService::extend(const Request& request)
{
    auto call = parse_call(request, wire::parse_extend_call);
    if (!call) co_return http::problem(call.error(), request.id);
    const auto still = co_await store_.extend(*std::move(call), settings_.lease);
    if (!still) co_return store_failure(request, still.error());
    co_return http::json_response(200, wire::extend_answer(*still));
}

asio::awaitable<Response> OrderService::settle(const Request& request)
{
    auto call = parse_call(request, wire::parse_settle_call);
    if (!call) co_return http::problem(call.error(), request.id);
    const bool puts_back =
        std::ranges::any_of(*call, [](const auto& one) { return one.kind != Settlement::Kind::verdict; });
    const auto settled = co_await store_.settle(*std::move(call));
    if (!settled) co_return store_failure(request, settled.error());
    for (const auto one : *settled) settled_[static_cast<std::size_t>(one)].add();
    store_works(std::ranges::find(*settled, Settled::applied) != settled->end());
    if (puts_back) queue_.put_back();
    co_return http::json_response(200, wire::settle_answer(*settled));
}

asio::awaitable<Response> OrderService::presence(const Request& request)
{
    const auto call = parse_call(request, wire::parse_presence_call);
    if (!call) co_return http::problem(call.error(), request.id);
    (void)paused_workers(); // without those that are silent
    if (!call->paused)
        paused_.erase(call->worker);
    else if (paused_.size() < most_paused || paused_.contains(call->worker))
        paused_[call->worker] = Clock::now();
    co_return http::json_response(200, OrderedJson::object());
}

/// By their names. One that has not been heard of lately has ended, or speaks to another order service.
std::vector<std::string> OrderService::paused_workers()
{
    const auto now = Clock::now();
    std::erase_if(paused_, [&](const auto& worker) { return now - worker.second > paused_memory; });
    std::vector<std::string> names;
    for (const auto& [name, at] : paused_) names.push_back(name);
    return names;
}

// --- The store's failures --------------------------------------------------------------------------------------------

/// A store that could not be reached answers again; a full disk is known to have room only when something is on it.
void OrderService::store_works(bool written)
{
    if (trouble_ && (written || !trouble_->in_writing)) trouble_.reset();
}

/// A failure that has not been met for a while is no longer reported: perhaps no client has written since.
std::optional<OrderService::Complaint> OrderService::complaint() const
{
    if (auto trouble = store_.trouble()) {
        // A database's own words may hold its address.
        if (!settings_.store.empty()) trouble = "the database cannot be used; the log of this service says why";
        return Complaint{*std::move(trouble), true};
    }
    if (trouble_ && Clock::now() - trouble_->at < trouble_memory)
        return Complaint{trouble_->text, trouble_->in_writing || trouble_->of_creation};
    if (queue_.trouble())
        return Complaint{"Redis cannot be used; orders are leased straight from the database; the log of this service "
                         "says why"};
    return std::nullopt;
}

Response OrderService::store_failure(const Request& request, error_code error)
{
    if (error == errc::not_found)
        return http::problem(request, 404, fmt::format("there is no order '{}'", request.parameter("id")));
    if (request.method() != verb::get)
        trouble_ = {.text = fmt::format("a write failed: {}", error.message()),
                    .in_writing = error != errc::unavailable,
                    .of_creation = request.path == "/create_order"};
    if (error == errc::storage_broken)
        return unavailable(request,
                           "the store has failed, and it is unknown what it holds until the service has started "
                           "again; send the same request again then");
    const bool repeatable = request.path == "/create_order" || request.path.starts_with("/jobs/");
    if (error == errc::unavailable && request.method() != verb::get && !repeatable)
        return unavailable(request,
                           "the store does not answer at the moment, and it is unknown whether this was done; look "
                           "before you send it again");
    if (error == errc::unavailable && request.method() != verb::get)
        return unavailable(request, "the store does not answer at the moment, and it is unknown whether this was done; "
                                    "send the same request again: nothing is done twice");
    return unavailable(request,
                       fmt::format("the store cannot be used at the moment ({}), nothing was changed; try again "
                                   "later",
                                   error.message()));
}

} // namespace hotspare::orders

-- For wrk(1): every request places an order of its own. ARGUMENT: a prefix that makes the order_ids of this run unique.
local number = 0
local threads = 0

function setup(thread)
    thread:set("worker", threads)
    threads = threads + 1
end

function init(arguments)
    prefix = arguments[1]
end

function request()
    number = number + 1
    local body = string.format('{"order_id":"%s-%d-%d","product":"Medicine A","quantity":10}', prefix, worker, number)
    return wrk.format("POST", "/create_order", {["Content-Type"] = "application/json"}, body)
end

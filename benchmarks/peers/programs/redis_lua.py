"""Redis as the place where stock is: a Lua script decides an order in one step, nothing comes between.

Scripts are sent in pipelines. With the append-only file fsynced before each answer (`appendfsync always`) a
decision is durable; it is remembered by order ref, so an order that comes again gets the same answer. The
outcome is published afterwards: at least once.
"""

from __future__ import annotations

import json

import redis
from confluent_kafka import Message

from benchmarks.peers.programs.loop import Run, consume, outcome

DECIDE = """
local known = redis.call('GET', KEYS[1])
if known then return known end
local answer = ''
for line = 2, #KEYS do
  local left = tonumber(redis.call('GET', KEYS[line]))
  local wanted = tonumber(ARGV[line - 1])
  if wanted <= left then
    redis.call('DECRBY', KEYS[line], wanted)
    answer = answer .. '1'
  else
    answer = answer .. '0'
  end
end
redis.call('SET', KEYS[1], answer)
return answer
"""
"""KEYS: the order, then its SKUs; ARGV: the units of each line. Answers a digit a line: taken or not."""


def main() -> None:
    """`python -m benchmarks.peers.programs.redis_lua`"""
    run = Run()
    database = redis.Redis(unix_socket_path=run.server)
    database.mset({f"stock:{sku}": run.units for sku in run.skus})
    sha = database.script_load(DECIDE)

    def decide(messages: list[Message]) -> list[tuple[str, bytes]]:
        orders = [json.loads(message.value() or b"")["order"] for message in messages]
        calls = database.pipeline(transaction=False)
        for order in orders:
            items = order["items"]
            keys = [f"order:{order['ref']}", *(f"stock:{item['sku']}" for item in items)]
            calls.evalsha(sha, len(keys), *keys, *(item["quantity"] for item in items))
        return [
            (order["ref"], outcome(order["ref"], order["promotionId"], _results(order["items"], answer)))
            for order, answer in zip(orders, calls.execute(), strict=True)
        ]

    consume(run, decide)


def _results(items: list[dict], answer: bytes) -> list[tuple[str, int, bool]]:  # type: ignore[type-arg]
    pairs = zip(items, answer.decode(), strict=True)
    return [(item["sku"], item["quantity"], digit == "1") for item, digit in pairs]


if __name__ == "__main__":
    main()

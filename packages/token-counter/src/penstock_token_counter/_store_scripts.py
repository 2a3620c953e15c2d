"""The scripts that a store runs, each of which touches one pool, and so one slot of a cluster.

They know no rule of the ledger. A pool has a version, which each entry moves on by one, and an entry is taken only from
a counter that knows the version it builds on, on the server on which it learned it: that alone keeps decisions apart.
The turn only keeps counters from deciding at the same time in vain; it ends by itself.

What is kept for those who load names the server that keeps it, so that it is missed when its key vanishes (a server may
evict any key); it may be missing when it has left every window and was dropped, which the pool's version outlives.

Times are whole microseconds of the server's clock, which never go back. Numbers travel as text, because Lua's lose
digits otherwise. Every script is replicated by its effects.
"""

from __future__ import annotations

MAJOR = 1
"""The version of keys, scripts and entries; counters of different majors share nothing."""

CLOCK = "redis.call('TIME')"
"""Seconds, and microseconds of the second."""

_NOW = """
local known = redis.call('HMGET', KEYS[1], 'version', 'instance', 'opened', 'granted', 'server', 'now', 'turn', 'until',
    'rests')
local time = {clock}
local now = math.max(time[1] * 1000000 + time[2], tonumber(known[6] or 0))
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local kept_by = redis.call('HGET', KEYS[2], 'server')
if not kept_by and known[9] and now >= tonumber(known[9]) then
    kept_by = known[5]
end
"""

_TAKE = """
-- penstock token counter, store {major}: take a turn, if a lease is asked for, and tell what is new since a version
-- KEYS: meta, state, log   ARGV: counter, version it knows, milliseconds of lease, milliseconds that meta is kept
{now}
local lease = tonumber(ARGV[3])
if lease > 0 then
    local left = tonumber(known[8] or 0) - now
    if known[7] and known[7] ~= ARGV[1] and left > 0 then
        return {{'busy', string.format('%.0f', left)}}
    end
    redis.call('HSET', KEYS[1], 'turn', ARGV[1], 'until', string.format('%.0f', now + lease * 1000))
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
local behind = tonumber(known[1] or 0) - tonumber(ARGV[2])
local news = false
if known[1] and behind == 0 then
    news = {{}}
elseif known[1] and behind > 0 and behind <= redis.call('LLEN', KEYS[3]) then
    news = redis.call('LRANGE', KEYS[3], -behind, -1)
end
return {{'taken', string.format('%.0f', now), server, known[1], known[2], known[3], kept_by, news}}
"""

_LOAD = """
-- penstock token counter, store {major}: tell all that is kept
-- KEYS: meta, state
local known = redis.call('HMGET', KEYS[1], 'version', 'instance', 'opened', 'granted')
return {{known[1], known[2], known[3], known[4], redis.call('HGETALL', KEYS[2])}}
"""

_COMMIT = """
-- penstock token counter, store {major}: keep what was decided in a turn, if it builds on the newest version
-- KEYS: meta, state, ages, log
-- ARGV: counter, version, server, instance, opened, granted, entry, its time, milliseconds that meta is kept, and that
--       the rest is, the time before which charges are dropped, entries that are kept, channel, the server that kept
--       what this builds on, how many fields follow, those fields as name, value and time of a charge, and names of
--       fields to drop
{now}
if known[7] == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'turn', 'until')
end
if (known[1] or '0') ~= ARGV[2] or server ~= ARGV[3] or (kept_by or '') ~= ARGV[14] then
    return 0
end
if not known[1] then
    redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
end
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', ARGV[2] + 1), 'server', ARGV[3], 'instance', ARGV[4],
    'opened', ARGV[5], 'granted', ARGV[6], 'now', ARGV[8],
    'rests', string.format('%.0f', ARGV[8] + ARGV[10] * 1000))
redis.call('HSET', KEYS[2], 'server', ARGV[3])
local first, fields = 16, tonumber(ARGV[15])
for i = first, first + 3 * fields - 1, 3 do
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= '' then
        redis.call('ZADD', KEYS[3], ARGV[i + 2], ARGV[i])
    end
end
for i = first + 3 * fields, #ARGV do
    redis.call('HDEL', KEYS[2], ARGV[i])
end
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[11], 'LIMIT', 0, 2 * fields + 16)
for _, name in ipairs(old) do
    redis.call('HDEL', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
end
redis.call('RPUSH', KEYS[4], ARGV[7])
redis.call('LTRIM', KEYS[4], -ARGV[12], -1)
redis.call('PEXPIRE', KEYS[1], ARGV[9])
for i = 2, 4 do
    redis.call('PEXPIRE', KEYS[i], ARGV[10])
end
redis.call('PUBLISH', ARGV[13], ARGV[1])
return 1
"""

_LET_GO = """
-- penstock token counter, store {major}: let go of a turn in which nothing changed
-- KEYS: meta   ARGV: counter
if redis.call('HGET', KEYS[1], 'turn') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'turn', 'until')
end
return 1
"""

_EVICTION = """
-- penstock token counter, store {major}: tell the policy by which keys are evicted, if any may be
-- KEYS: meta
local memory = redis.call('INFO', 'memory')
local policy = string.match(memory, 'maxmemory_policy:(%S+)')
if policy == 'noeviction' or string.match(memory, 'maxmemory:(%d+)') == '0' then
    return false
end
return policy
"""


def take() -> str:
    """Return the script that takes a turn."""
    return _TAKE.format(major=MAJOR, now=_now())


def load() -> str:
    """Return the script that tells all that is kept."""
    return _LOAD.format(major=MAJOR)


def commit() -> str:
    """Return the script that keeps what was decided."""
    return _COMMIT.format(major=MAJOR, now=_now())


def let_go() -> str:
    """Return the script that lets go of a turn."""
    return _LET_GO.format(major=MAJOR)


def eviction() -> str:
    """Return the script that tells whether keys may be evicted."""
    return _EVICTION.format(major=MAJOR)


def _now() -> str:
    """Return the lines that read the clock and what is known of the pool."""
    return _NOW.format(clock=CLOCK)

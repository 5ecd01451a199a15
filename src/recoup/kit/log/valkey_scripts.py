"""What the Valkey log asks of the server in one go; keys and their meaning stand in `valkey_streams`."""

# Says that a member lives, forgets those that do not, gives up partitions that now fall to others and holds its own,
# as far as nobody else still does. One trip and the server's clock, whatever the number of partitions. A sign of life
# from a time to come is from before that clock was set back, and so is the lease: who lives gives another one soon.
KEEP = """
local members, leases, me, lease_ms, partitions = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('SET', 'log:e', 1, 'NX') then redis.call('SET', 'log:y', 1, 'PX', ARGV[5]) end
for at = 3, #KEYS do redis.call('SADD', KEYS[at], ARGV[4]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', members, now, me)
redis.call('ZREMRANGEBYSCORE', members, 0, now - lease_ms)
redis.call('ZREMRANGEBYSCORE', members, now + lease_ms, '+inf')
local names = redis.call('ZRANGE', members, 0, -1)
table.sort(names)
local held = {}
for partition = 0, partitions - 1 do
    local lease = leases .. partition
    local holder = redis.call('GET', lease)
    if names[partition % #names + 1] == me then
        if not holder or holder == me or not redis.call('ZSCORE', members, holder) then
            redis.call('SET', lease, me, 'PX', lease_ms)
            table.insert(held, partition)
        end
    elseif holder == me then
        redis.call('DEL', lease)
    end
end
return held
"""
# How many records each stream ever had. Asked directly, XINFO sends its first and last record along.
WRITTEN = """
local written = {}
for place, stream in ipairs(KEYS) do
    written[place] = 0
    if redis.call('EXISTS', stream) == 1 then
        local info = redis.call('XINFO', 'STREAM', stream)
        for at = 1, #info, 2 do
            if info[at] == 'entries-added' then written[place] = info[at + 1] end
        end
    end
end
return written
"""
LEAVE = """
local members, leases, me, partitions = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
redis.call('ZREM', members, me)
for partition = 0, partitions - 1 do
    if redis.call('GET', leases .. partition) == me then
        redis.call('DEL', leases .. partition)
    end
end
"""

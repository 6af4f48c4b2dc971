-- The next entry that someone pushed by hand: one that was taken and not settled in time, or a new one. Equal
-- ones come one after the other.
drain()
local waiting, taken = PREFIX .. 'foreign', PREFIX .. 'foreign_taken'
local late = redis.call('ZRANGE', taken, '-inf', NOW, 'BYSCORE', 'LIMIT', 0, 1)[1]
if late then
  redis.call('ZADD', taken, NOW + LEASE_MS, late)
  return late
end
for _, entry in ipairs(redis.call('LRANGE', waiting, 0, FOREIGN - 1)) do
  if not redis.call('ZSCORE', taken, entry) then
    redis.call('LREM', waiting, 1, entry)
    redis.call('ZADD', taken, NOW + LEASE_MS, entry)
    return entry
  end
end
return false

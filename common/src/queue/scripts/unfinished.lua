-- job after which to begin ('' = from the first), how many
local seq = 0
if arg(1) ~= '' then seq = number(key('job', arg(1)), 'seq') end
local found = {}
for _, job in ipairs(redis.call('ZRANGE', key('open'), '(' .. seq, '+inf', 'BYSCORE', 'LIMIT', 0, arg(2))) do
  table.insert(found, job)
  table.insert(found, redis.call('HGET', key('job', job), 'song'))
end
return found

-- task, token, units done, units in all
local tid, token, done, total = arg(1), arg(2), tonumber(arg(3)), tonumber(arg(4))
local answer = fence(tid, token)
if answer then return answer end

local job, _, _, kind = parse(tid)
redis.call('ZADD', key('leases'), 'XX', 'GT', NOW + LEASE_MS, tid)
local task = redis.call('HMGET', key('task', tid), 'units', 'done', 'takes')
if task[3] ~= '' then
  for _, line in ipairs({ 'merge:' .. task[3], 'span:' .. task[3] }) do
    if redis.call('EXISTS', key('line', line)) == 1 then redis.call('HSET', key('seen'), line, NOW) end
  end
end
local units = 0
if kind == 'span' then
  units = tonumber(task[1])
elseif kind == 'plan' or kind == 'derive' then
  units = math.max(number(key('job', job), 'total'), total)
  redis.call('HSET', key('job', job), 'total', units)
end
local more = math.min(done, units) - tonumber(task[2])
if more > 0 then
  redis.call('HINCRBY', key('task', tid), 'done', more)
  advance(job, more)
end
return 'held'

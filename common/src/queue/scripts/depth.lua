-- Gives jobs, ready, delayed, active, cost in ms, dead; notifications among ready and active; how long in ms the task
-- has waited that has waited longest, notifications left out.
local lines = redis.call('HKEYS', key('seen'))
for _, line in ipairs({ 'derive', 'plan' }) do table.insert(lines, line) end
local oldest = NOW
local function waits(tid)
  -- Of a release that did not write it down it is 0.
  local since = tid and number(key('task', tid), 'since') or 0
  if since > 0 then oldest = math.min(oldest, since) end
end

local function waiting(line, each)
  local count = 0
  for _, tenant in ipairs(redis.call('ZRANGE', key('line', line), 0, -1)) do
    local tasks = key('ready', line, tenant)
    count = count + redis.call('ZCARD', tasks)
    if each then each(tasks) end
  end
  return count
end

local ready = redis.call('LLEN', ENTRANCE) + redis.call('LLEN', PREFIX .. 'foreign')
  + redis.call('ZCARD', PREFIX .. 'foreign_taken')
local first = redis.call('LINDEX', ENTRANCE, 0)
if first and parse(first) and redis.call('HGET', key('task', first), 'place') == 'entering' then waits(first) end
for _, line in ipairs(lines) do
  ready = ready + waiting(line, function(tasks)
    -- Below 0 what came back, the latest first; above it what is new, the oldest first.
    waits(redis.call('ZRANGE', tasks, 1, '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1])
    waits(redis.call('ZRANGE', tasks, 0, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1)[1])
  end)
end
local notices, told = waiting('notify'), 0
local leases = redis.call('ZRANGE', key('leases'), 0, -1)
for _, tid in ipairs(leases) do
  if string.find(tid, ':notify:', 1, true) then told = told + 1 end
end
return { redis.call('ZCARD', key('open')), ready + notices, redis.call('ZCARD', key('delayed')), #leases,
  number(key('meta'), 'cost'), redis.call('LLEN', key('dead')), notices, told, NOW - oldest }

-- task, token, 'done'; or task, token, 'planned', fingerprint, what the merge is told, (units, part) of each span
local tid, token, outcome = arg(1), arg(2), arg(3)
local answer = fence(tid, token, 'c')
if answer then return answer end

local job, _, plan, kind, index = parse(tid)
local tenant = redis.call('HGET', key('job', job), 'tenant')
if outcome == 'planned' then
  local fingerprint, merge = arg(4), arg(5)
  local count, total = (#ARGV - 9 - 5) / 2, 0
  destroy(tid, job)
  for i = 0, count - 1 do
    local units, part = arg(6 + 2 * i), arg(7 + 2 * i)
    local span = job .. ':' .. plan .. ':span:' .. i
    total = total + tonumber(units)
    redis.call('SADD', key('left', job), i)
    create(span, job, 'span:' .. fingerprint, tenant, units, part)
    wait(span, 'span:' .. fingerprint, tenant, false)
  end
  redis.call('HSET', key('job', job), 'spans', count, 'merge', merge, 'fingerprint', fingerprint,
    'done', 0, 'total', total)
  ring(count)
elseif kind == 'span' then
  local task = redis.call('HMGET', key('task', tid), 'units', 'done')
  destroy(tid, job)
  advance(job, tonumber(task[1]) - tonumber(task[2]))
  if redis.call('SREM', key('left', job), index) == 1 and redis.call('SCARD', key('left', job)) == 0 then
    local merge = job .. ':' .. plan .. ':merge:0'
    local line = 'merge:' .. redis.call('HGET', key('job', job), 'fingerprint')
    create(merge, job, line, tenant, 0, '')
    wait(merge, line, tenant, false)
    ring(1)
  end
elseif kind == 'notify' then
  destroy(tid, job)
else
  finish(job, 'succeeded', '')
end
settle(tid, token, 'c')
return 'held'

-- token, worker's name, fingerprint, kinds in the order of handing out
local token, worker, fingerprint = arg(1), arg(2), arg(3)

local function handed(tid)
  local job, _, _, kind = parse(tid)
  local record = redis.call('HMGET', key('job', job), 'tenant', 'song', 'payload', 'merge', 'spans')
  local task = redis.call('HMGET', key('task', tid), 'attempt', 'part')
  local part, spans = task[2], '0'
  if kind == 'merge' then part, spans = record[4], record[5] end
  return { tid, task[1], record[1], record[2], record[3], part, spans }
end

-- The tenant whose turn it is: times only grow, so those that are out of date are too low and get to the top.
local function next_tenant(line)
  while true do
    local top = redis.call('ZRANGE', key('line', line), 0, 0, 'WITHSCORES')
    if not top[1] then return nil end
    local time = virtual_time(top[1])
    if tonumber(top[2]) >= time then return top[1] end
    redis.call('ZADD', key('line', line), time, top[1])
  end
end

local held = redis.call('HGET', key('held'), token)
if held then return handed(held) end
drain()

-- Remembered with the task: a worker that is busy with it is one that would take its like.
local takes, works = '', false
for i = 4, #ARGV - 9 do
  if arg(i) == 'merge' or arg(i) == 'span' then takes = fingerprint end
  if arg(i) ~= 'notify' then works = true end
end
for i = 4, #ARGV - 9 do
  local kind = arg(i)
  local line = kind
  if kind == 'merge' or kind == 'span' then
    line = kind .. ':' .. fingerprint
    if redis.call('EXISTS', key('line', line)) == 1 then redis.call('HSET', key('seen'), line, NOW) end
  end
  local tenant = next_tenant(line)
  local tid = tenant and redis.call('ZRANGE', key('ready', line, tenant), 0, 0)[1]
  local job = tid and parse(tid)
  -- What a later release wrote is for its own workers.
  local known = tid and redis.call('HGET', key('task', tid), 'v') == VERSION
    and redis.call('HGET', key('job', job), 'v') == VERSION
  if known then
    take_out(tid)
    redis.call('HINCRBY', key('task', tid), 'attempt', 1)
    local before = redis.call('HGET', key('task', tid), 'worker') or ''
    redis.call('HSET', key('task', tid), 'place', 'active', 'token', token, 'takes', takes,
      'worker', worker, 'since', NOW, 'before', before)
    redis.call('ZREM', key('idle'), worker)
    redis.call('ZADD', key('leases'), NOW + LEASE_MS, tid)
    redis.call('HSET', key('held'), token, tid)
    local record = redis.call('HMGET', key('job', job), 'state', 'cost', 'charged')
    if kind ~= 'notify' and record[1] == 'queued' then
      redis.call('HSET', key('job', job), 'state', 'running', 'began', NOW)
      tell(job, 'state running')
    end
    if (kind == 'plan' or kind == 'derive') and record[3] == '0' then
      local time = virtual_time(tenant)
      redis.call('HSET', key('job', job), 'charged', 1)
      redis.call('HSET', key('meta'), 'time', math.max(time, number(key('meta'), 'time')))
      redis.call('HINCRBY', key('tenant_time'), tenant, math.max(tonumber(record[2]), 1))
    end
    -- What an earlier attempt had in hand is lost.
    local done = number(key('task', tid), 'done')
    if done > 0 then
      redis.call('HINCRBY', key('job', job), 'done', -done)
      redis.call('HSET', key('task', tid), 'done', 0)
    end
    return handed(tid)
  end
end
if works then redis.call('ZADD', key('idle'), NOW, worker) end
return false

-- Gives how many leases had ended, delayed tasks woke and songs were planned again, how much of that was given up; and
-- an earlier epoch of which something may be left.
local expired_count, woken, replanned, dead = 0, 0, 0, 0

-- The record of a task in a state that this release knows; otherwise it is left alone.
local function known(tid, place)
  local task = redis.call('HMGET', key('task', tid), 'v', 'place', 'line', 'tenant', 'attempt')
  if task[1] == VERSION and task[2] == place then return task end
end

local function due(set)
  return redis.call('ZRANGE', key(set), '-inf', NOW, 'BYSCORE', 'LIMIT', 0, REAP)
end

drain()

-- From the last to the first, so that the first one is at the head afterwards.
local expired = due('leases')
for i = #expired, 1, -1 do
  local tid = expired[i]
  local task = known(tid, 'active')
  if task then
    expired_count = expired_count + 1
    if tonumber(task[5]) >= MAX_ATTEMPTS then
      dead = dead + 1
      give_up(tid, 'given up after ' .. task[5] .. ' attempts, the last one without a word within its lease')
    else
      take_out(tid)
      wait(tid, task[3], task[4], true)
    end
  end
end

-- Cannot happen by itself, but by hand: a task without a lease would be held for ever.
if redis.call('HLEN', key('held')) ~= redis.call('ZCARD', key('leases')) then
  for _, tid in ipairs(redis.call('HVALS', key('held'))) do
    if known(tid, 'active') then redis.call('ZADD', key('leases'), 'NX', NOW + LEASE_MS, tid) end
  end
end

local delayed = due('delayed')
for i = #delayed, 1, -1 do
  local tid = delayed[i]
  local task = known(tid, 'delayed')
  if task then
    woken = woken + 1
    take_out(tid)
    wait(tid, task[3], task[4], true)
  end
end

-- Songs whose spans or merge wait for workers that nobody has seen for long are planned again by others.
local orphans, listed = {}, {}
for _, line in ipairs(redis.call('HKEYS', key('seen'))) do
  local tenants = redis.call('ZRANGE', key('line', line), 0, -1)
  if not tenants[1] then
    redis.call('HDEL', key('seen'), line)
  elseif NOW - number(key('seen'), line) >= ORPHANED_AFTER_MS then
    for _, tenant in ipairs(tenants) do
      for _, tid in ipairs(redis.call('ZRANGE', key('ready', line, tenant), 0, -1)) do
        local job = parse(tid)
        local record = redis.call('HMGET', key('job', job), 'v', 'seq')
        if record[1] == VERSION and not listed[job] then
          listed[job] = true
          table.insert(orphans, { job = job, seq = tonumber(record[2]), tid = tid })
        end
      end
    end
  end
end
table.sort(orphans, function(a, b) return a.seq < b.seq end)
for i = math.min(#orphans, REPLAN), 1, -1 do
  local job = orphans[i].job
  replanned = replanned + 1
  local record = redis.call('HMGET', key('job', job), 'tenant', 'plan')
  local plan = tonumber(record[2]) + 1
  if plan >= MAX_ATTEMPTS then
    dead = dead + 1
    give_up(orphans[i].tid, 'given up after ' .. plan .. ' plans: no worker of the kind that planned it came back')
  else
    destroy_all(job)
    redis.call('DEL', key('left', job), key('said', job))
    redis.call('HSET', key('job', job), 'plan', plan, 'done', 0, 'total', 0, 'spans', 0, 'merge', '')
    local tid = job .. ':' .. plan .. ':plan:0'
    create(tid, job, 'plan', record[1], 0, '')
    wait(tid, 'plan', record[1], true)
  end
end

for _, job in ipairs(due('ended')) do
  if redis.call('HGET', key('job', job), 'v') == VERSION then
    if redis.call('SCARD', key('tasks', job)) > 0 then
      -- Its notification is still on the way.
      redis.call('ZADD', key('ended'), NOW + REMEMBER_MS, job)
    else
      forget(job)
    end
  end
end

redis.call('ZREMRANGEBYSCORE', key('idle'), '-inf', NOW - LEASE_MS)

local moved = expired_count + woken + replanned
if moved > 0 then ring(moved) end
return { expired_count, woken, replanned, dead, redis.call('SRANDMEMBER', PREFIX .. 'old') or '' }

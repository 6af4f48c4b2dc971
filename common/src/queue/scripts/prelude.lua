-- Stands before every script. A script validates everything before its first write, and may be replayed.
-- ARGV: prefix, name of the entrance list, time in ms ('' = this server's), six rules, then the command's own.
-- Keys are made from the prefix and the epoch: for one server, not for a cluster.
local PREFIX, ENTRANCE, NOW = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not NOW then
  local time = redis.call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end
local LEASE_MS, MAX_ATTEMPTS, RETRY_BASE_MS = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local RETRY_CAP_MS, ORPHANED_AFTER_MS, REMEMBER_MS = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local function arg(i) return ARGV[9 + i] end

-- Of every record. What has another version was written by a later release: it is left alone.
local VERSION = '1'
local EPOCH = tonumber(redis.call('GET', PREFIX .. 'epoch') or '0')

-- key(name), key(name, ...): a key of this epoch.
local function key(name, a, b)
  name = PREFIX .. EPOCH .. ':' .. name
  if a then name = name .. ':' .. a end
  if b then name = name .. '|' .. b end
  return name
end

local function later_release(version)
  return redis.error_reply('VERSION a record has version ' .. version .. ', this release knows ' .. VERSION)
end
do
  local version = redis.call('HGET', key('meta'), 'v')
  if version and version ~= VERSION then return later_release(version) end
end

-- The epoch, plan, kind and index in a task id, and its job; nothing where it is none.
local function parse(tid)
  local job, epoch, unique, plan, kind, index = string.match(tid, '^((%d+)%-(%x+)):(%d+):(%l+):(%d+)$')
  if not job or #unique ~= 32 then return nil end
  return job, tonumber(epoch), plan, kind, index
end

local function field(tid)
  return string.match(tid, ':(.*)$')
end

-- Wakes `n` sleepers. Nothing depends on it: they also wake by themselves.
local function ring(n)
  for _ = 1, math.min(n, BELLS) do redis.call('RPUSH', PREFIX .. 'bell', '1') end
  redis.call('LTRIM', PREFIX .. 'bell', -BELLS, -1)
end

local function tell(job, what)
  redis.call('RPUSH', key('events', job), what)
  redis.call('LTRIM', key('events', job), -EVENTS, -1)
  redis.call('HINCRBY', key('job', job), 'events', 1)
end

local function number(record, name)
  return tonumber(redis.call('HGET', record, name) or '0')
end

-- Lines: where tasks wait, one for each class (merges and spans: and fingerprint), in it one for each tenant.

local function virtual_time(tenant)
  return number(key('tenant_time'), tenant)
end

-- Fingerprint lines have a place in `seen`: when they were last empty, or asked for by a claimant.
local function has_fingerprint(line)
  return string.find(line, '^merge:') or string.find(line, '^span:')
end

-- Puts a task that is nowhere into its line: at the head what comes back, which waits from now on, at the tail what is
-- new, which waits since it was created.
local function wait(tid, line, tenant, at_head)
  local tenants = key('line', line)
  if has_fingerprint(line) and redis.call('EXISTS', tenants) == 0 then
    redis.call('HSET', key('seen'), line, NOW)
  end
  local place
  if at_head then
    place = redis.call('HINCRBY', key('meta'), 'head', -1)
  else
    place = redis.call('HINCRBY', key('meta'), 'tail', 1)
  end
  redis.call('ZADD', key('ready', line, tenant), place, tid)
  redis.call('ZADD', tenants, 'NX', virtual_time(tenant), tenant)
  redis.call('HSET', key('task', tid), 'place', 'ready')
  if at_head then redis.call('HSET', key('task', tid), 'since', NOW) end
end

-- Takes a task out of wherever it is: in its line, with a worker, delayed, or in the entrance.
local function take_out(tid)
  local task = redis.call('HMGET', key('task', tid), 'place', 'line', 'tenant', 'token')
  local place, line, tenant, token = task[1], task[2], task[3], task[4]
  if place == 'ready' then
    redis.call('ZREM', key('ready', line, tenant), tid)
    if redis.call('EXISTS', key('ready', line, tenant)) == 0 then
      redis.call('ZREM', key('line', line), tenant)
    end
  elseif place == 'active' then
    redis.call('ZREM', key('leases'), tid)
    redis.call('HDEL', key('held'), token)
    redis.call('HDEL', key('task', tid), 'token')
  elseif place == 'delayed' then
    redis.call('ZREM', key('delayed'), tid)
  elseif place == 'entering' then
    redis.call('LREM', ENTRANCE, 0, tid)
  end
end

local function create(tid, job, line, tenant, units, part)
  redis.call('HSET', key('task', tid), 'v', VERSION, 'line', line, 'tenant', tenant, 'attempt', 0,
    'units', units, 'part', part, 'done', 0, 'since', NOW)
  redis.call('SADD', key('tasks', job), tid)
end

local function destroy(tid, job)
  take_out(tid)
  redis.call('DEL', key('task', tid))
  redis.call('SREM', key('tasks', job), tid)
end

local function destroy_all(job)
  for _, tid in ipairs(redis.call('SMEMBERS', key('tasks', job))) do destroy(tid, job) end
end

-- Everything of the entrance that is a task of ours goes to its line, everything else to the foreign list.
local function drain()
  for _ = 1, DRAIN do
    local entry = redis.call('LINDEX', ENTRANCE, 0)
    if not entry then return end
    if parse(entry) then
      local task = redis.call('HMGET', key('task', entry), 'v', 'place', 'line', 'tenant')
      -- Whoever wrote it takes it.
      if task[1] and task[1] ~= VERSION then return end
      redis.call('LPOP', ENTRANCE)
      if task[2] == 'entering' then
        local line, tenant = task[3], task[4]
        -- A tenant of whom nothing waited has no claim to the time before.
        if redis.call('EXISTS', key('ready', 'plan', tenant), key('ready', 'derive', tenant)) == 0 then
          local time = math.max(virtual_time(tenant), number(key('meta'), 'time'))
          redis.call('HSET', key('tenant_time'), tenant, time)
        end
        wait(entry, line, tenant, false)
      end
    else
      redis.call('LPOP', ENTRANCE)
      redis.call('RPUSH', PREFIX .. 'foreign', entry)
    end
  end
end

-- Jobs.

-- Adds `units` to what is done; the highest part so far is what is told.
local function advance(job, units)
  local done = redis.call('HINCRBY', key('job', job), 'done', units)
  local record = redis.call('HMGET', key('job', job), 'total', 'permille')
  local total, permille = tonumber(record[1]), tonumber(record[2])
  if total == 0 then return end
  local reached = math.min(math.floor(done * 1000 / total), 999)
  if reached > permille then
    redis.call('HSET', key('job', job), 'permille', reached)
    tell(job, 'progress ' .. reached .. ' ' .. done .. ' ' .. total)
  end
end

-- Ends a job; the caller has seen that it has not ended.
local function finish(job, state, reason)
  destroy_all(job)
  redis.call('DEL', key('left', job))
  local record = redis.call('HMGET', key('job', job), 'tenant', 'cost', 'notify', 'total')
  local tenant, cost, notify, total = record[1], tonumber(record[2]), record[3], record[4]
  redis.call('HSET', key('job', job), 'state', state, 'ended', NOW, 'reason', reason)
  if state == 'succeeded' then
    redis.call('HSET', key('job', job), 'permille', 1000, 'done', total)
    tell(job, 'progress 1000 ' .. total .. ' ' .. total)
  end
  tell(job, 'state ' .. state)
  redis.call('ZREM', key('open'), job)
  redis.call('HINCRBY', key('meta'), 'cost', 0 - cost)
  if redis.call('HINCRBY', key('open_of'), tenant, -1) == 0 then redis.call('HDEL', key('open_of'), tenant) end
  redis.call('ZADD', key('ended'), NOW + REMEMBER_MS, job)
  if notify == '1' then
    local tid = job .. ':0:notify:0'
    create(tid, job, 'notify', tenant, 0, '')
    wait(tid, 'notify', tenant, false)
    ring(1)
  end
end

-- A task is given up; so is its job, except for a notification, which comes after the end.
local function give_up(tid, reason)
  local job, _, _, kind = parse(tid)
  redis.call('LPUSH', key('dead'), cjson.encode({ v = 1, job = job, task = tid, reason = reason, at_ms = NOW }))
  redis.call('LTRIM', key('dead'), 0, DEAD - 1)
  if kind == 'notify' then destroy(tid, job) else finish(job, 'failed', reason) end
end

local function forget(job)
  destroy_all(job)
  redis.call('DEL', key('job', job), key('events', job), key('said', job), key('stems', job), key('left', job))
  redis.call('ZREM', key('ended'), job)
end

-- Words of workers.

-- Nothing where `tid` is held with `token`, otherwise the answer. `word` is 'c', 'f' or 'r' for what settles a
-- task: the same word again is not a new one.
local function fence(tid, token, word)
  local job, epoch, _, kind = parse(tid)
  if epoch < EPOCH then return 'canceled' end
  if epoch > EPOCH then return 'lost' end
  local record = redis.call('HMGET', key('job', job), 'v', 'state')
  if not record[1] then return 'lost' end
  if record[1] ~= VERSION then return later_release(record[1]) end
  if word and redis.call('HGET', key('said', job), field(tid)) == word .. token then return 'held' end
  if kind ~= 'notify' and (record[2] == 'canceled' or record[2] == 'failed') then return 'canceled' end
  local task = redis.call('HMGET', key('task', tid), 'v', 'place', 'token')
  if not task[1] then return 'lost' end
  if task[1] ~= VERSION then return later_release(task[1]) end
  if task[2] ~= 'active' or task[3] ~= token then return 'lost' end
  return nil
end

local function settle(tid, token, word)
  redis.call('HSET', key('said', (parse(tid))), field(tid), word .. token)
end

-- Begins a later epoch. What earlier ones left in the entrance goes at once, the rest behind the scenes.
local function raise(epoch)
  redis.call('SADD', PREFIX .. 'old', EPOCH)
  redis.call('SET', PREFIX .. 'epoch', epoch)
  EPOCH = epoch
  local entries = redis.call('LRANGE', ENTRANCE, 0, -1)
  redis.call('DEL', ENTRANCE)
  for _, entry in ipairs(entries) do
    if not parse(entry) then redis.call('RPUSH', ENTRANCE, entry) end
  end
end

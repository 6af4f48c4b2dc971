-- How many. Gives who works on what, the longest silent first, then who waits for work.
local most, found = tonumber(arg(1)), {}
if most == 0 then return found end
local function ago(time) return tostring(math.max(NOW - time, 0)) end

local leases = redis.call('ZRANGE', key('leases'), 0, most - 1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local tid, ends = leases[i], tonumber(leases[i + 1])
  local job, _, _, kind = parse(tid)
  local task = redis.call('HMGET', key('task', tid), 'v', 'worker', 'attempt', 'tenant', 'since', 'before')
  local song = redis.call('HGET', key('job', job), 'song')
  if kind ~= 'notify' and task[1] == VERSION and song then
    -- An earlier release wrote neither when it was claimed nor who had it before.
    local heard = ends - LEASE_MS
    table.insert(found, { task[2], ago(heard), tid, task[3], task[4], song, ago(tonumber(task[5] or heard)),
      tostring(math.max(ends - NOW, 0)), task[6] or '' })
  end
end

local since = '(' .. (NOW - LEASE_MS)
local idle = redis.call('ZRANGE', key('idle'), since, '+inf', 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
for i = 1, #idle, 2 do table.insert(found, { idle[i], ago(tonumber(idle[i + 1])) }) end
return found

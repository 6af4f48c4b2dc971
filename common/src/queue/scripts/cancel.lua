-- job, its epoch
local job = arg(1)
if tonumber(arg(2)) ~= EPOCH then return false end
local record = redis.call('HMGET', key('job', job), 'v', 'state')
if not record[1] then return false end
if record[1] ~= VERSION then return later_release(record[1]) end
local state = record[2]
if state == 'queued' or state == 'running' then
  finish(job, 'canceled', '')
  state = 'canceled'
end
return state

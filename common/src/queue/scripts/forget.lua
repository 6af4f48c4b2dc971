-- job, its epoch
local job = arg(1)
if tonumber(arg(2)) ~= EPOCH then return 'unknown' end
local record = redis.call('HMGET', key('job', job), 'v', 'state')
if not record[1] then return 'unknown' end
if record[1] ~= VERSION then return later_release(record[1]) end
if record[2] == 'queued' or record[2] == 'running' then return 'kept' end
forget(job)
return 'forgotten'

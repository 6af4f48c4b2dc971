-- job, its epoch
local job = arg(1)
if tonumber(arg(2)) ~= EPOCH then return false end
local record = redis.call('HMGET', key('job', job), 'v', 'tenant', 'song', 'state', 'done', 'total', 'permille',
  'entered', 'began', 'ended', 'reason', 'events')
if not record[1] then return false end
if record[1] ~= VERSION then return later_release(record[1]) end
table.remove(record, 1)
local ahead = 0
if record[3] == 'queued' then ahead = redis.call('ZRANK', key('open'), job) end
table.insert(record, tostring(ahead))
return record

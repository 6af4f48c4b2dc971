-- job, its epoch, number after which to begin, how many. Gives the number of the first one, then what happened.
local job, after, most = arg(1), tonumber(arg(3)), tonumber(arg(4))
if tonumber(arg(2)) ~= EPOCH or most == 0 then return {} end
local record = redis.call('HMGET', key('job', job), 'v', 'events')
if not record[1] then return {} end
if record[1] ~= VERSION then return later_release(record[1]) end
local gone = tonumber(record[2]) - redis.call('LLEN', key('events', job))
local first = math.max(after - gone, 0)
local found = redis.call('LRANGE', key('events', job), first, first + most - 1)
table.insert(found, 1, tostring(gone + first + 1))
return found

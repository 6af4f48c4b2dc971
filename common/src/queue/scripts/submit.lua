-- job, epoch, tenant, song, first, cost, notify, payload, room of all, room of the tenant
local job, epoch, tenant, song, first = arg(1), tonumber(arg(2)), arg(3), arg(4), arg(5)
local cost, notify, payload, room, room_of_tenant = arg(6), arg(7), arg(8), tonumber(arg(9)), tonumber(arg(10))
local tid = job .. ':0:' .. first .. ':0'

if epoch < EPOCH then return 'stale' end
-- Everything was lost but the store, which knows of a reset.
if epoch > EPOCH then raise(epoch) end
do
  local version = redis.call('HGET', key('meta'), 'v')
  if version and version ~= VERSION then return later_release(version) end
end
local record = redis.call('HMGET', key('job', job), 'v', 'state')
if record[1] and record[1] ~= VERSION then return later_release(record[1]) end
if record[1] then
  -- Somebody emptied the entrance by hand: the next sweep's submission mends it.
  if redis.call('HGET', key('task', tid), 'place') == 'entering' and not redis.call('LPOS', ENTRANCE, tid) then
    redis.call('RPUSH', ENTRANCE, tid)
  end
  return record[2]
end
if number(key('open_of'), tenant) >= room_of_tenant then return 'tenant_full' end
if redis.call('ZCARD', key('open')) >= room then return 'full' end

redis.call('HSET', key('meta'), 'v', VERSION)
local seq = redis.call('HINCRBY', key('meta'), 'seq', 1)
redis.call('HSET', key('job', job), 'v', VERSION, 'tenant', tenant, 'song', song, 'cost', cost, 'notify', notify,
  'payload', payload, 'state', 'queued', 'plan', 0, 'seq', seq, 'entered', NOW, 'began', 0, 'ended', 0,
  'reason', '', 'permille', 0, 'done', 0, 'total', 0, 'events', 0, 'spans', 0, 'merge', '', 'charged', 0)
redis.call('ZADD', key('open'), seq, job)
redis.call('HINCRBY', key('open_of'), tenant, 1)
redis.call('HINCRBY', key('meta'), 'cost', cost)
create(tid, job, first, tenant, 0, '')
redis.call('HSET', key('task', tid), 'place', 'entering')
redis.call('RPUSH', ENTRANCE, tid)
tell(job, 'state queued')
ring(1)
return 'accepted'

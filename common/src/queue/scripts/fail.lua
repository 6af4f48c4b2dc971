-- task, token, 'permanent' or 'transient', reason
local tid, token, failure, reason = arg(1), arg(2), arg(3), arg(4)
local answer = fence(tid, token, 'f')
if answer then return answer end

local attempt = number(key('task', tid), 'attempt')
if failure == 'permanent' or attempt >= MAX_ATTEMPTS then
  give_up(tid, reason)
else
  take_out(tid)
  local pause = math.min(RETRY_BASE_MS * 2 ^ (attempt - 1), RETRY_CAP_MS)
  redis.call('ZADD', key('delayed'), NOW + pause, tid)
  redis.call('HSET', key('task', tid), 'place', 'delayed')
end
settle(tid, token, 'f')
return 'held'

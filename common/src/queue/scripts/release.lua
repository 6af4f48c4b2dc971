-- task, token
local tid, token = arg(1), arg(2)
local answer = fence(tid, token, 'r')
if answer then return answer end

take_out(tid)
redis.call('HINCRBY', key('task', tid), 'attempt', -1)
local task = redis.call('HMGET', key('task', tid), 'line', 'tenant')
wait(tid, task[1], task[2], true)
settle(tid, token, 'r')
ring(1)
return 'held'

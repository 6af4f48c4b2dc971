-- task, token, stem
local tid, token, stem = arg(1), arg(2), arg(3)
local answer = fence(tid, token)
if answer then return answer end

local job = parse(tid)
if redis.call('SADD', key('stems', job), stem) == 1 then tell(job, 'stem ' .. stem) end
return 'held'

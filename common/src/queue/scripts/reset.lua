-- epoch
local epoch = tonumber(arg(1))
if epoch > EPOCH then raise(epoch) end
return EPOCH

-- The environment describes the request. The figures are written to the file BENCH_REPORT as JSON.
wrk.method = os.getenv("BENCH_METHOD")
local body_bytes = tonumber(os.getenv("BENCH_BODY_BYTES"))
if body_bytes > 0 then
  wrk.body = string.rep("x", body_bytes)
end

-- With BENCH_CREDENTIALS, requests use the tokens and device ids of that file in turns.
local credentials = os.getenv("BENCH_CREDENTIALS")
if credentials ~= "" then
  local requests, turn = {}, tonumber(os.getenv("BENCH_CREDENTIALS_USED"))

  function init(args)
    for line in io.lines(credentials) do
      local token, device = line:match("(%S+) (%S+)")
      wrk.headers["X-Access-Token"] = token
      wrk.headers["X-Device-ID"] = device
      requests[#requests + 1] = wrk.format()
    end
  end

  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local report = io.open(os.getenv("BENCH_REPORT"), "w")
  report:write(string.format(
    '{"requests": %d, "microseconds": %d, "bytes": %d, "errors": %d, "broken": %d, "p50": %d, "p99": %d}',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
  report:close()
end

-- The newest run of every job: what came out, with which model, in how many seconds.
SELECT job, status, as_of, model, finished_at, round(aggregate(map_values(seconds), 0D, (total, part) -> total + part), 1)
       AS seconds_of_parts, error
FROM (SELECT *, row_number() OVER (PARTITION BY job ORDER BY finished_at DESC, run_id) AS newest FROM ops.job_runs)
WHERE newest = 1
ORDER BY job;

-- How a figure moved from run to run.
SELECT r.as_of, r.finished_at, m.value
FROM ops.metrics m
JOIN ops.job_runs r ON r.run_id = m.run_id AND r.attempt = m.attempt
WHERE m.job = 'recommend' AND m.metric = 'ndcg_at_10'
ORDER BY r.as_of, r.finished_at;

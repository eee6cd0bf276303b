-- What each experiment says, and why.
SELECT experiment_id, metric, variant, round(effect, 4) AS effect, round(effect_low, 4) AS low,
       round(effect_high, 4) AS high, round(100 * lift, 1) AS lift_percent, decision, reason
FROM gold.latest_experiment_results
ORDER BY experiment_id, is_guardrail, metric, variant;

-- Comparisons by status: those that say nothing come first, with how to mend them.
SELECT experiment_id, metric, variant, status, error
FROM gold.latest_experiment_results
ORDER BY CASE status WHEN 'ok' THEN 1 ELSE 0 END, experiment_id, metric, variant;

-- The looks of each comparison: an interval that leaves out 0 at any look is good evidence, whoever looks how often.
SELECT experiment_id, metric, variant, look_on, units, effect, sequence_low, sequence_high, sequential_p_value
FROM gold.latest_experiment_looks
ORDER BY experiment_id, metric, variant, look_on;

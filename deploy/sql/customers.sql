-- The customers who are worth most in the coming year, and whether they are still there.
SELECT v.customer_id, v.expected_value, v.value_low, v.value_high, v.purchases, c.p_alive, c.reason
FROM gold.latest_customer_value v
JOIN gold.latest_churn_risk c ON v.customer_id = c.customer_id
ORDER BY v.expected_value DESC, v.customer_id
LIMIT 50;

-- Whom to write before they are gone: bought often, and have been quiet for longer than they used to be.
SELECT c.customer_id, c.p_alive, c.reason, v.spend
FROM gold.latest_churn_risk c
JOIN gold.latest_customer_value v ON v.customer_id = c.customer_id
WHERE v.purchases >= 3 AND (c.p_alive IS NULL OR c.p_alive < 0.8)
ORDER BY v.quiet_days / v.mean_days_between DESC, c.customer_id
LIMIT 50;

-- How much of each cohort came again, and what it has brought so far.
SELECT cohort, months_since, customers, retention, cumulative_revenue_per_customer
FROM gold.latest_cohort_retention
WHERE is_complete
ORDER BY cohort, months_since;

-- Customers by segment.
SELECT s.segment, count(*) AS customers, round(sum(v.spend), 2) AS spend, round(sum(v.expected_value), 2) AS expected_value
FROM gold.latest_customer_segments s
JOIN gold.latest_customer_value v ON v.customer_id = s.customer_id
GROUP BY s.segment
ORDER BY spend DESC;

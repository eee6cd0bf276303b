-- What a shop page asks for: the newest list of one customer, or the default for a stranger.
WITH asked AS (SELECT '17850' AS customer_id),
known AS (
  SELECT EXISTS (
    SELECT 1 FROM gold.latest_recommendations r JOIN asked USING (customer_id) WHERE r.list = 'discover'
  ) AS is_known
)
SELECT r.rank, r.product_id, p.product_name, round(r.score, 4) AS score, r.strategy
FROM gold.latest_recommendations r
CROSS JOIN asked a
CROSS JOIN known k
LEFT JOIN silver.products p ON p.product_id = r.product_id
WHERE r.list = 'discover' AND r.customer_id = CASE WHEN k.is_known THEN a.customer_id ELSE '*' END
ORDER BY r.rank;

-- Which products the lists show most, and to what share of the known customers.
SELECT r.product_id, any_value(p.product_name) AS product_name, count(DISTINCT r.customer_id) AS customers,
       round(count(DISTINCT r.customer_id) / any_value(n.customers), 3) AS share_of_customers
FROM gold.latest_recommendations r
CROSS JOIN (
  SELECT count(DISTINCT customer_id) AS customers FROM gold.latest_recommendations WHERE customer_id <> '*'
) n
LEFT JOIN silver.products p ON p.product_id = r.product_id
WHERE r.customer_id <> '*' AND r.list = 'all'
GROUP BY r.product_id
ORDER BY customers DESC, product_id
LIMIT 20;

-- What makes the rows: repurchase, factors or popularity.
SELECT list, strategy, count(*) AS rows, round(avg(rank), 2) AS mean_rank
FROM gold.latest_recommendations
GROUP BY list, strategy
ORDER BY list, rows DESC;

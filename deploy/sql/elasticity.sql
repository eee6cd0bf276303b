-- Which prices to change first: the largest expected gains, and why they are not larger.
SELECT store_id, product_id, current_price, recommended_price, round(expected_margin_change, 2) AS margin_a_period,
       round(chance_of_gain, 2) AS chance, bound_hit, reason
FROM gold.latest_price_recommendations
WHERE is_recommended
ORDER BY expected_margin_change DESC, store_id, product_id
LIMIT 20;

-- What every estimator says of a category, side by side: the default is the one that prices rest on.
SELECT member AS category, estimator, round(estimate, 2) AS elasticity, round(ci_low, 2) AS low,
       round(ci_high, 2) AS high, round(first_stage_f, 1) AS first_stage_f, is_default, status
FROM gold.latest_elasticity_estimates
WHERE level = 'category' AND term = 'price'
ORDER BY member, estimator;

-- Where no effect of the price can be told, and why.
SELECT category, status, count(*) AS store_products
FROM gold.latest_elasticities
GROUP BY category, status
ORDER BY category, status;

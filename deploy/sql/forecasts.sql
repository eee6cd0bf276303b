-- What to order: the next four weeks of every store and product, and what covers nine outcomes of ten.
SELECT store_id, product_id, round(sum(mean), 1) AS expected, round(sum(p90), 1) AS safe, min(model) AS model
FROM gold.latest_forecasts
WHERE step <= 4 AND status <> 'failed'
GROUP BY store_id, product_id
ORDER BY expected DESC, store_id, product_id
LIMIT 50;

-- What lies ahead by category, with its interval: means add up over the levels, quantiles do not.
SELECT member AS category, date, round(mean, 1) AS mean, round(lo_95, 1) AS lo_95, round(hi_95, 1) AS hi_95
FROM gold.latest_forecast_levels
WHERE level = 'category'
ORDER BY category, date;

-- Where the forecast adds nothing to seasonal naive, and what was chosen there.
SELECT demand_class, model, count(*) AS series, round(avg(fva), 3) AS fva, round(avg(bias), 3) AS bias
FROM gold.latest_forecast_accuracy
WHERE is_chosen
GROUP BY demand_class, model
ORDER BY fva;

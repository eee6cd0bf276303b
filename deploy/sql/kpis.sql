-- The last fourteen days of the whole shop.
SELECT day, currency, revenue, orders, customers, new_customers, average_order_value, conversion, gross_margin
FROM gold.latest_kpis_daily
WHERE level = 'all'
ORDER BY day DESC, currency
LIMIT 14;

-- Weeks of each store beside the week before.
SELECT week, store_id, currency, revenue,
       round(revenue / lag(revenue) OVER (PARTITION BY store_id, currency ORDER BY week) - 1, 3) AS change
FROM gold.latest_kpis_weekly
WHERE level = 'store'
ORDER BY week DESC, store_id, currency
LIMIT 50;

-- Categories by gross margin in the last whole week.
SELECT category, currency, gross_revenue, gross_margin, promotion_share, out_of_stock_share
FROM gold.latest_kpis_weekly
WHERE level = 'category'
  AND week = (SELECT max(week) FROM gold.latest_kpis_weekly WHERE date_add(week, 6) <= as_of)
ORDER BY gross_margin DESC, category, currency;

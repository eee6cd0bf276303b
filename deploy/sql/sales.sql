-- Net sales and returns by month.
SELECT date_trunc('MONTH', sold_at) AS month, count(DISTINCT order_id) AS orders,
       round(sum(quantity * unit_price), 2) AS net_sales,
       round(-sum(CASE WHEN quantity < 0 THEN quantity * unit_price ELSE 0 END), 2) AS returned
FROM silver.sales
GROUP BY 1
ORDER BY 1;

-- Why rows were quarantined, by source and rule.
SELECT source, rule, count(*) AS rows, any_value(detail) AS example
FROM silver.sales_quarantine
GROUP BY source, rule
ORDER BY rows DESC, rule;

"""From silver tables to series, and what their periods say."""
